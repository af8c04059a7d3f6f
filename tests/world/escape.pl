#!/usr/bin/perl
# Tries to leave a cage, or to change the machine around it. Each attempt that works is named, and each that was none:
# it died, or failed for another reason than that it was refused.
use strict;
use warnings;
use Errno;
use Fcntl;
use Socket;

my ($canary, $abstract) = ('CANARY', 'ABSTRACT');
my (@left, @broke, $tried);

sub attempt {
    my ($name, $try) = @_;
    $tried++;
    $! = 0;
    my $worked = eval { $try->() };
    my $why = $@;
    # What is neither refused nor missing here was no attempt.
    my $refused = !$! || $!{EPERM} || $!{EACCES} || $!{EROFS} || $!{ENOENT} || $!{ENXIO} || $!{ENOSYS};
    $why ||= "$!\n" unless $worked || $refused;
    if ($why) {
        push @broke, $name;
        print "BROKE $name: $why";
        return;
    }
    push @left, $name if $worked;
    print(($worked ? "LEFT" : "held"), " $name", ($worked ? "" : " ($!)"), "\n");
}

sub call {
    my ($number, @arguments) = @_;
    return syscall($number, @arguments) >= 0;
}

sub writes {
    my ($path, $text) = @_;
    sysopen(my $file, $path, O_WRONLY) or return 0;
    return defined syswrite($file, $text);
}

sub reads {
    my ($path) = @_;
    sysopen(my $file, $path, O_RDONLY) or return 0;
    return sysread($file, my $bytes, 64);
}

my ($NEWNS, $NEWUSER, $NEWPID) = (0x20000, 0x10000000, 0x20000000);
my $none = "none\0";

# Mounts
attempt('mount a tmpfs', sub { call(165, $none, "/mnt\0", "tmpfs\0", 0, 0) });
attempt('mount proc', sub { call(165, $none, "/mnt\0", "proc\0", 0, 0) });
attempt('bind the root', sub { call(165, "/\0", "/mnt\0", 0, 4096, 0) });
attempt('make the root shared', sub { call(165, 0, "/\0", 0, 0x100000 | 0x4000, 0) });
attempt('remount /proc/sys writable', sub { call(165, 0, "/proc/sys\0", 0, 32 | 4096, 0) });
attempt('unmount /proc/sys', sub { call(166, "/proc/sys\0", 2) });
attempt('unmount /proc/kcore', sub { call(166, "/proc/kcore\0", 2) });
attempt('pivot_root', sub { call(155, "/mnt\0", "/mnt\0") });
attempt('fsopen', sub { call(430, "tmpfs\0", 0) });
attempt('open_tree', sub { call(428, -100, "/\0", 1) });
attempt('move_mount', sub { call(429, -100, "/proc\0", -100, "/mnt\0", 0) });
attempt('mount_setattr', sub { call(442, -100, "/\0", 0, 0, 0) });

# Namespaces
attempt('unshare users', sub { call(272, $NEWUSER) });
attempt('unshare mounts', sub { call(272, $NEWNS) });
attempt('unshare processes', sub { call(272, $NEWPID) });
for my $flag ($NEWUSER, $NEWNS, $NEWPID) {
    attempt("clone with $flag", sub {
        my $process = syscall(56, $flag | 17, 0, 0, 0, 0);
        exit 0 if $process == 0;
        return $process > 0;
    });
}
attempt('clone3', sub { call(435, "\0" x 64, 64) });
attempt('setns', sub {
    opendir(my $directory, '/proc/1/ns') or return 0;
    sysopen(my $own, '/proc/self/ns/mnt', O_RDONLY) or return 0;
    return call(308, fileno($own), 0);
});

# Processes
attempt('trace the first process', sub { call(101, 16, 1, 0, 0) });
attempt('read its memory', sub { reads('/proc/1/mem') });
attempt('open its descriptors', sub {
    return grep { -e "/proc/1/fd/$_" && sysopen(my $file, "/proc/1/fd/$_", O_RDONLY) } (0 .. 300);
});
attempt('go to its root', sub { chdir('/proc/1/root') });
attempt('read its environment', sub { reads('/proc/1/environ') });
attempt('open its program', sub { sysopen(my $file, '/proc/1/exe', O_RDONLY) });
attempt('write to its program', sub { sysopen(my $file, '/proc/1/exe', O_RDWR) });
attempt('have the changes as a descriptor', sub { -e '/proc/self/fd/200' });
attempt('read memory of the first process by call', sub {
    my $bytes = "\0" x 8;
    my $ours = pack('QQ', unpack('Q', pack('P', $bytes)), 8);
    my $theirs = pack('QQ', 0x400000, 8);
    return call(310, 1, $ours, 1, $theirs, 1, 0) || $!{EFAULT};
});
attempt('take a descriptor of another process', sub {
    my $process = syscall(434, $$ + 0, 0);
    return $process >= 0 && call(438, $process, 0, 0);
});
attempt('advise the memory of another process', sub {
    my $process = syscall(434, $$ + 0, 0);
    return call(440, $process, "\0" x 16, 0, 4, 0) || $!{EINVAL};
});
attempt('see processes outside', sub {
    opendir(my $directory, '/proc');
    my @processes = grep { /^\d+$/ } readdir($directory);
    return @processes > 8;
});
attempt('signal processes outside', sub {
    return 1 if $$ >= 100;
    my @found = grep { $_ != $$ && $_ != getppid() && $_ != 1 && kill(0, $_) } (2 .. 5000);
    $! = 0;
    return @found;
});
attempt('be more important', sub { call(141, 0, 0, -10) });
attempt('run in real time', sub { call(144, 0, 1, pack('i', 50)) });
attempt('raise the limit of processes', sub { call(160, 6, pack('QQ', 1 << 40, 1 << 40)) });

# The terminal and other programs' input
attempt('open the terminal outside', sub { sysopen(my $terminal, '/dev/tty', O_RDWR) });
attempt('type into a terminal', sub {
    sysopen(my $ours, '/dev/ptmx', O_RDWR) or die;
    my $unlock = pack('i', 0);
    ioctl($ours, 0x40045431, $unlock) or die "no terminal of our own";
    my $number = pack('i', 0);
    ioctl($ours, 0x80045430, $number) or die;
    sysopen(my $theirs, '/dev/pts/' . unpack('i', $number), O_RDWR) or die;
    my $letter = 'x';
    return ioctl($theirs, 0x5412, $letter);
});

# Sockets
attempt('reach an abstract socket outside', sub {
    socket(my $socket, AF_UNIX, SOCK_STREAM, 0) or return 0;
    return connect($socket, pack('S a*', AF_UNIX, "\0$abstract"));
});
attempt('a raw socket', sub { socket(my $socket, AF_INET, SOCK_RAW, 1) });
attempt('a packet socket', sub { socket(my $socket, 17, SOCK_RAW, 0) });
attempt('a socket to the hypervisor', sub { socket(my $socket, 40, SOCK_STREAM, 0) });
attempt('a socket to the ciphers of the kernel', sub { socket(my $socket, 38, SOCK_SEQPACKET, 0) });
attempt('bring the loopback down', sub {
    socket(my $socket, AF_INET, SOCK_DGRAM, 0) or return 0;
    my $request = pack('a16 s x22', 'lo', 0);
    return ioctl($socket, 0x8914, $request);
});

# Keys
attempt('join a keyring', sub { call(250, 1, 0) });
attempt('add a key', sub { call(248, "user\0", "k\0", "v", 1, -3) });
attempt('request a key', sub { call(249, "user\0", "k\0", 0, 0) });
attempt('read keys', sub { reads('/proc/keys') });

# The kernel
attempt('load a module', sub { call(175, "\0" x 64, 64, "\0") });
attempt('load a module from a file', sub { call(313, 0, "\0", 0) });
attempt('remove a module', sub { call(176, "loop\0", 0) });
attempt('bpf', sub { call(321, 0, "\0" x 64, 64) });
attempt('perf', sub { call(298, "\0" x 128, 0, -1, -1, 0) });
attempt('userfaultfd', sub { call(323, 0) });
attempt('io_uring', sub { call(425, 1, "\0" x 128) });
attempt('kexec', sub { call(246, 0, 0, 0, 0) });
attempt('reboot', sub { call(169, 0xfee1dead, 672274793, 0, 0) });
attempt('swap', sub { call(167, "/mnt\0", 0) });
attempt('set the time', sub { call(164, pack('qq', 0, 0), 0) });
attempt('set the clock', sub { call(227, 0, pack('qq', 0, 0)) });
attempt('name the machine', sub { call(170, "x", 1) });
attempt('open by handle', sub { call(304, -100, "\0" x 64, 0) });
attempt('quotas', sub { call(179, 0, 0, 0, 0) });
attempt('accounting', sub { call(163, 0) });
attempt('ports of devices', sub { call(172, 3) });
attempt('watch all files', sub { call(300, 0, 0) });
attempt('personality', sub { call(135, 0x40000) });
attempt('the log of the kernel', sub { reads('/dev/kmsg') });

# Files of this machine
attempt('write /proc/sys/kernel/hostname', sub { writes('/proc/sys/kernel/hostname', "x\n") });
attempt('write /proc/sys/kernel/core_pattern', sub { writes('/proc/sys/kernel/core_pattern', "|/x\n") });
attempt('write /proc/sys/vm/drop_caches', sub { writes('/proc/sys/vm/drop_caches', "1\n") });
attempt('write /proc/sysrq-trigger', sub { writes('/proc/sysrq-trigger', "h") });
attempt('write /sys/power/state', sub { writes('/sys/power/state', "mem") });
attempt('write /sys/kernel/uevent_helper', sub { writes('/sys/kernel/uevent_helper', "/x") });
attempt('make a file in /sys', sub { mkdir('/sys/fs/cgroup/x') });
attempt('read the memory of the kernel', sub { reads('/proc/kcore') });
attempt('make a device', sub { call(133, "/tmp/mem\0", 0020666, 257) });
attempt('make a disk', sub { call(133, "/tmp/disk\0", 0060666, 0x800) });
attempt('open /dev/mem', sub { reads('/dev/mem') });
attempt('open /dev/fuse', sub { sysopen(my $device, '/dev/fuse', O_RDWR) });
attempt('change the files of the step', sub {
    my ($directory) = glob('/.aicage-*/init');
    return $directory && sysopen(my $file, $directory, O_WRONLY | O_TRUNC);
});
attempt('leave by chroot', sub {
    mkdir('/tmp/jail');
    chroot('/tmp/jail') or return 0;
    chdir('..') for 1 .. 64;
    chroot('.');
    my $found = -e $canary;
    return $found;
});

print "$tried attempts, ", scalar(@left), " left, ", scalar(@broke), " broke\n";
print "left: $_\n" for @left;
print "broke: $_\n" for @broke;
