import { LabError } from './errors.ts';

/** What is wrong with a cable, each way. */
export interface CableFaults {
  readonly delayMs: number;
  /** Delay is spread evenly by this much to either side; frames stay in order. */
  readonly jitterMs: number;
  /** Share of frames lost, 0 to 1. */
  readonly loss: number;
  /** Bits per second; 0 is as fast as it goes. */
  readonly rate: number;
}

const TIME_MS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000 };
const RATE_BITS: Readonly<Record<string, number>> = { kbit: 1e3, mbit: 1e6, gbit: 1e9 };

/**
 * Reads the words of `tc netem` that the lab knows: `delay 50ms [10ms]`, `loss 5%`, `rate 10mbit`, in any order.
 * @throws {LabError} `LAB_BAD_OPTIONS`
 */
export function parseCable(text: string): CableFaults {
  const words = text.trim().toLowerCase().split(/\s+/);
  const faults = { delayMs: 0, jitterMs: 0, loss: 0, rate: 0 };
  while (words.length > 0) {
    const word = words.shift();
    if (word === 'delay') {
      faults.delayMs = quantity(words.shift(), TIME_MS);
      if (/^\d/.test(words[0] ?? '')) faults.jitterMs = quantity(words.shift(), TIME_MS);
    } else if (word === 'loss') {
      faults.loss = quantity(words.shift(), { '%': 0.01 });
    } else if (word === 'rate') {
      faults.rate = quantity(words.shift(), RATE_BITS);
    } else {
      throw new LabError(
        'LAB_BAD_OPTIONS',
        `A cable knows delay, loss and rate ("delay 50ms loss 5%"), not "${word}".`,
      );
    }
  }
  return faults;
}

function quantity(word: string | undefined, units: Readonly<Record<string, number>>): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)([a-z%]+)$/.exec(word ?? '') ?? [];
  const factor = units[unit ?? ''];
  if (number === undefined || factor === undefined) {
    const known = Object.keys(units).join(', ');
    throw new LabError('LAB_BAD_OPTIONS', `"${word ?? ''}" is not a number with one of the units ${known}.`);
  }
  return Number(number) * factor;
}

/**
 * A bad cable: relays Ethernet frames between two TAP devices, late, slowly or not at all. In user space, because many
 * kernels come without netem; in Perl, because every host image has it. Ends when its devices are deleted.
 * File descriptors 3 and 4 are /dev/net/tun, opened twice. Arguments: device, device, delay and jitter in seconds, loss 0 to 1, bits per second (0: unlimited).
 */
export const RELAY = `
use strict; use warnings; use Time::HiRes 'time'; use Fcntl;
my ($a, $b, $delay, $jitter, $loss, $rate) = @ARGV;
my $limit = 10000;
sub tap {
  my ($descriptor, $name) = @_;
  open(my $tap, '+<&=', $descriptor) or die "/dev/net/tun: $!\\n";
  fcntl($tap, F_SETFL, O_RDWR | O_NONBLOCK);
  ioctl($tap, 0x400454ca, pack('a16 S x22', $name, 0x1002)) or die "TUNSETIFF $name: $!\\n";
  return $tap;
}
my @tap = (tap(3, $a), tap(4, $b));
my (@queue, @free, @last) = ();
for my $way (0, 1) { $queue[$way] = []; $free[$way] = $last[$way] = 0; }
$| = 1; print "ready\\n"; close(STDOUT); open(STDERR, '>', '/dev/null');
while (1) {
  my $next;
  for my $way (0, 1) {
    my $due = @{$queue[$way]} ? $queue[$way][0][0] : next;
    $next = $due if !defined $next || $due < $next;
  }
  my $ready = '';
  vec($ready, fileno($_), 1) = 1 for @tap;
  my $wait = defined $next ? $next - time : undef;
  $wait = 0 if defined $wait && $wait < 0;
  select($ready, undef, undef, $wait);
  my $now = time;
  for my $way (0, 1) {
    for (1 .. 64) {
      my $size = sysread($tap[$way], my $frame, 65536);
      if (!defined $size) { last if $!{EAGAIN}; exit 0 unless $!{EIO} || $!{EINTR}; last; }
      next if rand() < $loss || @{$queue[$way]} >= $limit;
      $free[$way] = $now if $free[$way] < $now;
      $free[$way] += 8 * $size / $rate if $rate;
      my $due = $free[$way] + $delay + $jitter * (2 * rand() - 1);
      $due = $last[$way] if $due < $last[$way];
      $last[$way] = $due;
      push @{$queue[$way]}, [$due, $frame];
    }
    while (@{$queue[$way]} && $queue[$way][0][0] <= $now) {
      syswrite($tap[1 - $way], (shift @{$queue[$way]})->[1]);
    }
  }
}
`;
