#!/usr/bin/env bash
. "${0%/*}/common.sh" || exit

numbers 2000 >text
cat >work.pl <<'PERL'
use strict; use warnings; use POSIX; use Time::HiRes; use Data::Dumper;
open(my $in, '<', 'text') or die; my %seen;
while (<$in>) { $seen{$1}++ if /line (\d+)/ }
close $in;
open(my $out, '>', 'out') or die;
print $out Dumper([sort keys %seen]);
close $out;
my $hits = 0;
local $SIG{USR1} = sub { $hits++ };
kill USR1 => $$; kill USR1 => $$;
local $SIG{ALRM} = sub { $hits++ };
# Long before its end, and long after its begin, also where every call is traced: it always
# interrupts the wait.
Time::HiRes::ualarm(50_000);
select(undef, undef, undef, 10);
pipe(my $reader, my $writer);
my $child = fork // die;
if (!$child) { print $writer "child\n"; close $writer; POSIX::_exit(0) }
close $writer; my $line = <$reader>; waitpid $child, 0;
die unless $line eq "child\n" && $hits == 3 && keys %seen == 2000;
opendir(my $dir, '.'); my @all = readdir $dir; closedir $dir;
rename 'text', 'moved'; rename 'moved', 'text';
system('true') == 0 or die;
PERL
run work.pl
run -e 'print "hello\n"' >/dev/null
enough
run -ne 'print if /1000/' text >/dev/null
# Its temporary name is mkstemp's, which asks for other random bits one time in 22 (glibc,
# __gen_tempname).
for _ in $(seq 25); do run -i.bak -pe 's/line/row/' text; done
echo 'print 1' | run >/dev/null
run -MList::Util=sum -e 'print sum(1..10)' >/dev/null
fails 3 -e 'exit 3'
fails 2 missing.pl
fails 255 -e '('
run -v >/dev/null
