# tree.pl ROOT: prints one line for each path below ROOT, sorted, with everything of it that a layer can carry.
#
# The same program looks from inside of a container and at an unpacked tree, and it shares no code with aicage.
# What an engine puts into every container is left out, and so are sockets.
use strict;
use warnings;
use Fcntl ':mode';

my $root = $ARGV[0] =~ s{/+$}{}r;
my %ours = map { $_ => 1 } qw(/dev /proc /sys /.dockerenv /etc/hosts /etc/hostname /etc/resolv.conf /etc/mtab /srv/tree);
# Directories that an engine makes something in.
my %touched = map { $_ => 1 } '', '/etc';
my ($llistxattr, $lgetxattr) = `uname -m` =~ /aarch64/ ? (12, 9) : (195, 192);

my (@paths, %stat, @files, %sum, %group);

sub walk {
    my ($path) = @_;
    my @stat = lstat($path eq '' ? "$root/" : "$root$path");
    die "cannot look at $path: $!" unless @stat;
    my $mode = $stat[2];
    return if S_ISSOCK($mode);
    push @paths, $path;
    $stat{$path} = \@stat;
    if (S_ISREG($mode)) {
        push @files, $path;
        push @{ $group{"$stat[0]:$stat[1]"} }, $path if $stat[3] > 1;
    }
    return unless S_ISDIR($mode);
    opendir my $directory, "$root$path/" or die "cannot list $path: $!";
    my @names = grep { $_ ne '.' && $_ ne '..' } readdir $directory;
    closedir $directory;
    for my $name (sort @names) {
        my $child = "$path/$name";
        walk($child) unless $ours{$child} || $child =~ m{^/\.aicage-};
    }
}

sub sums {
    while (my @some = splice @files, 0, 400) {
        open my $sums, '-|', 'sha256sum', '-z', '--', map { "$root$_" } @some or die "sha256sum: $!";
        local $/ = "\0";
        while (my $line = <$sums>) {
            chomp $line;
            $sum{ substr $line, 66 + length $root } = substr $line, 0, 64;
        }
        close $sums or die 'sha256sum failed';
    }
}

sub attributes {
    my ($path) = @_;
    my $file = $path eq '' ? "$root/" : "$root$path";
    my $names = "\0" x 65536;
    my $length = syscall $llistxattr, $file, $names, 65536;
    return '' if $length <= 0;
    my @said;
    for my $name (sort split /\0/, substr $names, 0, $length) {
        next if $name =~ /^security\.(selinux|ima|evm)$|\.overlay\./;
        my $value = "\0" x 65536;
        my $asked = $name;
        my $size = syscall $lgetxattr, $file, $asked, $value, 65536;
        die "cannot read $name of $path: $!" if $size < 0;
        push @said, plain($name) . '=' . plain(substr $value, 0, $size);
    }
    return join ',', @said;
}

sub plain {
    my ($bytes) = @_;
    $bytes =~ s/([^!-\[\]-~])/sprintf '\\x%02x', ord $1/ge;
    return $bytes;
}

walk('');
sums();
my %first;
for my $paths (values %group) {
    next if @$paths < 2;
    my ($first) = sort @$paths;
    $first{$_} = $first for @$paths;
}
for my $path (sort @paths) {
    my @stat = @{ $stat{$path} };
    my $mode = $stat[2];
    my @said = (sprintf('%06o', $mode), "$stat[4]:$stat[5]", $touched{$path} ? '-' : $stat[9]);
    push @said, "size $stat[7] sha256 $sum{$path}" if S_ISREG($mode);
    push @said, "device $stat[6]" if S_ISCHR($mode) || S_ISBLK($mode);
    push @said, 'to ' . plain(readlink "$root$path") if S_ISLNK($mode);
    push @said, 'linked ' . plain($first{$path}) if $first{$path};
    my $attributes = attributes($path);
    push @said, "attributes $attributes" if $attributes ne '';
    print plain($path eq '' ? '/' : $path), ' ', join(' ', @said), "\n";
}
