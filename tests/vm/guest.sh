# Sourced by run.sh: the file system of a guest, which is the machine's own programs and libraries, in an initramfs.
# Nothing else is as simple, and works with every kernel: the stock ones have their drivers in modules.

# What the tests and the workloads start.
programs="bash dash sh strace unshare mount true false cat cp mv rm ln mkdir mkfifo touch sleep seq kill env id date head
	cmp cut diff dirname wc tr stat rmdir grep realpath mktemp shuf sort uniq timeout awk sed ls tar gzip find xz perl sqlite3 python3 make nginx
	redis-server redis-cli redis-benchmark ab curl"

guest=$work/guest

# put FILE...: at the same path, with the libraries that it needs
put() {
	local file
	for file in "$@" $(ldd "$@" 2>/dev/null | grep -o '/[^ :]*'); do
		[ -e "$guest$file" ] || install -D "$file" "$guest$file"
	done
}

# What the workloads' scripts load of the interpreters' own libraries.
put_modules() {
	local python
	python=$(/usr/bin/python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
	mkdir -p "$guest$python"
	(cd "$python" && tar -c --exclude=test --exclude='config-*' --exclude=idlelib --exclude=ensurepip --exclude=pydoc_data \
		--exclude=lib2to3 --exclude=tkinter . | tar -x -C "$guest$python")
	put $(find "$guest$python" -name '*.so' -printf "$python/%P\n")
	put $(/usr/bin/perl -MPOSIX -MTime::HiRes -MData::Dumper -MList::Util -e \
		'print join "\n", (grep { -f } values %INC), @DynaLoader::dl_shared_objects')
}

# build_guest: into guest.cpio
build_guest() {
	local directory program
	mkdir -p "$guest"/{proc,sys,dev,mnt,tmp,root,etc,usr/bin,usr/sbin,usr/lib,usr/lib64}
	for directory in bin sbin lib lib64; do ln -s "usr/$directory" "$guest/$directory"; done
	# Debian's, whatever else is in the path.
	for program in $programs; do put "$(PATH=/usr/sbin:/usr/bin:/sbin:/bin type -P "$program")"; done
	put "$(type -P busybox)" "$target"/{sysfsm,victim,forks,threads,signals,handlers,adopted,hoard,hops,crowd,battery,saboteur,lawful}
	for program in equality kernel veto; do put "${tests[$program]}"; done
	put_modules
	put "$root"/policies/workloads/*.sh "$here/workloads.sh"
	echo 'root:x:0:0::/root:/bin/sh' >"$guest/etc/passwd"
	echo 'root:x:0:' >"$guest/etc/group"
	echo '{"sysfsm": 1, "binary": "/bin/true", "transitions": {"execve": ["brk"]}}' >"$guest/policy.json"
	install -m 755 "$here/init" "$guest/init"
	(cd "$guest" && find . -print0 | busybox cpio -0 -o -H newc) >"$work/guest.cpio" 2>/dev/null
	rm -rf "$guest"
}
