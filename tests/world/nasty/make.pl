# Makes what a shell cannot: strange names, attributes, a socket, many files.
use strict;
use warnings;
use Socket;

my $lsetxattr = `uname -m` =~ /aarch64/ ? 6 : 189;

sub put {
    my ($path, $content) = @_;
    open my $file, '>', $path or die "$path: $!";
    print $file $content;
    close $file or die "$path: $!";
}

sub attribute {
    my ($path, $name, $value) = @_;
    my $size = length $value;
    syscall($lsetxattr, $path, $name, $value, $size, 0) == 0 or die "$name of $path: $!";
}

mkdir '/opt/names' or die $!;
put("/opt/names/$_", "named\n")
    for "line\nbreak", "\xff\xfe not UTF-8", " spaces ", "-dash", "tab\there", "back\\slash", "\xc3\xa9", 'a=b', "\x01\x7f",
    'n' x 255, 'wh.not', '.whnot';
symlink "/no/\xff/such\nplace", '/opt/names/link' or die $!;
symlink 'x' x 1000, '/opt/names/long link' or die $!;
my $deep = '/opt/deep';
for my $level (1 .. 20) {
    mkdir $deep or die $!;
    $deep .= "/\xe4$level-" . 'd' x 60;
}
mkdir $deep or die $!;
put("$deep/bottom", "deep\n");
link "$deep/bottom", '/opt/deep-link' or die $!;

put('/opt/attributes', "x\n");
attribute('/opt/attributes', 'user.plain', 'value');
attribute('/opt/attributes', 'user.bytes', "a\0b\n=\xff");
attribute('/opt/attributes', 'user.long', 'v' x 2000);
attribute('/opt/deep', 'user.of a directory', 'yes');
put('/opt/capable', "x\n");
chmod 0755, '/opt/capable';
# Version 2: cap_net_bind_service, effective and permitted.
attribute('/opt/capable', 'security.capability', pack 'V5', 0x02000001, 1 << 10, 0, 0, 0);
# A file of the base, of which nothing but an attribute changes.
attribute('/etc/debconf.conf', 'user.only', 'this');

socket my $socket, AF_UNIX, SOCK_STREAM, 0 or die $!;
bind $socket, sockaddr_un('/opt/names/socket') or die $!;

mkdir '/opt/many' or die $!;
for my $directory (0 .. 29) {
    mkdir "/opt/many/$directory" or die $!;
    put("/opt/many/$directory/$_", "$directory/$_\n") for 0 .. 199;
}
