#!/bin/sh
# Everything that a script may do to a root filesystem.
set -eu

perl make.pl
cp tree.pl /usr/local/tree.pl

# Links, new and to a file of the base, across directories, one of them renamed.
mkdir /opt/links
echo one >/opt/links/one
ln /opt/links/one /opt/links/two
ln /opt/links/one /usr/local/three
mv /opt/links/one /opt/links/renamed
ln /etc/issue /opt/links/of-the-base
ln -s two /opt/links/symbolic
chown -h 7:8 /opt/links/symbolic

# Kinds and modes.
printf '#!/bin/sh\nid\n' >/usr/local/bin/raised
chmod 6755 /usr/local/bin/raised
mkfifo -m 620 /opt/fifo
mknod -m 666 /opt/null c 1 3
mknod -m 600 /opt/loop b 7 200
mkdir -m 1777 /opt/sticky
mkdir -m 000 /opt/closed
echo inside >/opt/closed/inside
truncate -s 16M /opt/sparse
printf end >>/opt/sparse
: >/opt/empty

# What the base has: gone, replaced, changed in one respect.
rm -rf /usr/share/doc
rm -rf /usr/share/man
mkdir -m 750 /usr/share/man
echo new >/usr/share/man/new
rm -rf /usr/share/common-licenses
echo 'a file now' >/usr/share/common-licenses
rm /etc/debian_version
mkdir /etc/debian_version
echo x >/etc/debian_version/x
mv /etc/cron.daily /opt/moved
chmod 600 /etc/fstab
chown 12:34 /etc/gai.conf
echo changed >>/etc/host.conf
touch -d '1999-12-31 23:59:59.75 UTC' /etc/host.conf
touch -d '2001-02-03 04:05:06 UTC' /usr/share/man
touch -h -d '1971-01-01 UTC' /opt/links/symbolic
echo hidden >/usr/share/.hidden

# What aicage has here.
for file in /.aicage-*; do
  rm -rf "${file:?}"/* 2>/dev/null || true
  echo 'not a program' >"$file/init" 2>/dev/null || true
done
rm -f tree.pl 2>/dev/null || true
kill -9 1 2>/dev/null || true

# A daemon, whose signal handling wants to stay.
mkdir /var/daemon
setsid sh -c 'trap "" TERM HUP INT; while :; do echo alive >/var/daemon/alive; sleep 0.1; done' </dev/null >/dev/null 2>&1 &
while [ ! -e /var/daemon/alive ]; do sleep 0.1; done

# No shell is left.
printf 'garbage' >/usr/bin/sh.new
mv /usr/bin/sh.new /usr/bin/sh
rm /usr/bin/sh
: >/srv/tree
perl /usr/local/tree.pl / >/srv/tree
