# Lays the centres of brightness of two images on each other: a method of imedbench in Perl.
use strict; use warnings; use JSON::PP;
binmode STDIN; binmode STDOUT; $| = 1;

sub take { my $n = shift; read(STDIN, my $bytes, $n) == $n or exit 0; $bytes }
sub give { my $json = encode_json(shift); print "IMED", pack("V", length $json), $json }
sub centre {                    # of what is brighter than the darkest, in a picture of w × h
    my ($bytes, $shape, $darkest) = @_; my ($h, $w, $colours) = (@$shape, 1);
    my ($x, $y, $sum) = (0, 0, 0);
    for my $i (0 .. $w * $h - 1) {
        my $v = vec($bytes, $i * $colours, 8); next if $v <= $darkest;
        $x += $v * ($i % $w); $y += $v * int($i / $w); $sum += $v;
    }
    $sum ? ($x / $sum, $y / $sum) : ();
}

my $options;
while (take(4) eq "IMED") {
    my $asked = decode_json(take(unpack "V", take(4)));
    my ($fixed, $moving) = map { my $n = 1; $n *= $_ for @{$_->{shape}}; take($n) } @{$asked->{arrays}};
    if ($asked->{type} eq "hello") {
        $options = $asked->{options};
        give({type => "hello", protocol => 1, number => $asked->{number}, values => {perl => "$]"}});
        next;
    }
    my %answer = (type => "answer", number => $asked->{number});
    my @f = centre($fixed, $asked->{arrays}[0]{shape}, $options->{darkest});
    my @m = centre($moving, $asked->{arrays}[1]{shape}, $options->{darkest});
    if (@f && @m) { $answer{fixed_from_moving} = [[1, 0, $f[0] - $m[0]], [0, 1, $f[1] - $m[1]], [0, 0, 1]] }
    else { $answer{refusal} = "an image has nothing bright in it" }
    give(\%answer);
}
