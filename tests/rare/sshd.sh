#!/usr/bin/env bash
# sshd: log in and run something; then an exchange of new keys in the middle of a session, and a reload.
. "${0%/*}/common.sh" || exit

mkdir -p /run/sshd
for name in host user; do ssh-keygen -q -t ed25519 -N '' -f $name; done
numbers 20000 >large.txt
cat >sshd.conf <<CONF
ListenAddress $ADDRESS:$PORT
HostKey $PWD/host
PidFile $PWD/pid
AuthorizedKeysFile $PWD/user.pub
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
PrintMotd no
PrintLastLog no
UseDNS no
CONF
on() {
	timeout 60 ssh -F none -q -n -p "$PORT" -i user -o BatchMode=yes -o UserKnownHostsFile="$PWD/known" \
		-o StrictHostKeyChecking=no -o IdentitiesOnly=yes "$@"
}
listens() { [ -s pid ] && (exec 3<>"/dev/tcp/$ADDRESS/$PORT") 2>/dev/null; }
run -D -e -f "$PWD/sshd.conf" 2>log &
server=$!
trap 'kill -KILL $server $(cat pid 2>/dev/null) 2>/dev/null || true' EXIT
await 30 $server listens
pid=$(cat pid)
sessions() {
	same "a session" hello "$(on "root@$ADDRESS" echo hello)"
	same "a file" "$(cksum <large.txt)" "$(on "root@$ADDRESS" cat "$PWD/large.txt" | cksum)"
}
sessions
if [ "$PHASE" = rare ]; then
	same "new keys" "$(cksum <large.txt)" \
		"$(on -o RekeyLimit=64K "root@$ADDRESS" cat "$PWD/large.txt" | cksum)"
	sessions
	# Reload: it executes itself.
	rm pid
	kill -HUP "$pid"
	await 30 "$pid" listens
	sessions
fi
kill -TERM "$pid"
wait $server || [ $? = 143 ] || [ $? = 255 ]
trap - EXIT
