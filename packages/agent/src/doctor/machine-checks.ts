import {
  FEW_INOTIFY_INSTANCES,
  FEW_INOTIFY_WATCHES,
  LOW_MEMORY_BYTES,
  LOW_STATE_BYTES,
  LOW_STORE_BYTES,
  NO_STORE_BYTES,
} from './constants.ts';
import type { DoctorFacts } from './facts.ts';
import { broken, type Finding, ok, skipped, warning } from './finding.ts';

/** Disk, memory, and what the kernel allows. */
export function machineChecks(facts: DoctorFacts): Finding[] {
  return [checkStoreDisk(facts), checkStateDisk(facts), checkMemory(facts), ...checkInotify(facts)];
}

function checkStoreDisk({ storeFreeBytes: free, nix }: DoctorFacts): Finding {
  if (free === undefined) return skipped('disk', 'free disk of /nix/store: there is none');
  if (free < NO_STORE_BYTES)
    return broken(
      'disk',
      `/nix/store has ${size(free)} free: no build fits`,
      'free some: nix-collect-garbage -d',
    );
  if (free < LOW_STORE_BYTES) {
    const byItself =
      nix.ok && nix.value.minFreeBytes > 0
        ? ''
        : ', or set min-free in nix.conf so that Nix does it by itself';
    return warning(
      'disk',
      `/nix/store has ${size(free)} free`,
      `free some: nix-collect-garbage -d${byItself}`,
    );
  }
  return ok('disk', `/nix/store has ${size(free)} free`);
}

function checkStateDisk({ stateFreeBytes: free, stateDir }: DoctorFacts): Finding {
  if (free === undefined)
    return skipped('state-disk', `free disk of ${stateDir.path}: it cannot be looked at`);
  if (free >= LOW_STATE_BYTES) return ok('state-disk', `${stateDir.path} has ${size(free)} free`);
  return broken('state-disk', `${stateDir.path} has ${size(free)} free`, 'free some on that disk');
}

function checkMemory({ memoryAvailableBytes: free }: DoctorFacts): Finding {
  if (free === undefined) return skipped('memory', 'free memory: this system does not say');
  if (free >= LOW_MEMORY_BYTES) return ok('memory', `${size(free)} of memory are free`);
  return warning(
    'memory',
    `${size(free)} of memory are free: builds may run out of it`,
    'end what takes it, or lend fewer slots (offer.slots)',
  );
}

function checkInotify({ inotify }: DoctorFacts): Finding[] {
  if (inotify === undefined) return [];
  const { watches, instances } = inotify;
  if (watches >= FEW_INOTIFY_WATCHES && instances >= FEW_INOTIFY_INSTANCES)
    return [ok('inotify', `the kernel lets a user watch ${watches} files`)];
  return [
    warning(
      'inotify',
      `the kernel lets a user watch ${watches} files in ${instances} instances: the agent may not hear of new store paths`,
      'sysctl fs.inotify.max_user_watches=65536 fs.inotify.max_user_instances=128',
    ),
  ];
}

function size(bytes: number): string {
  return bytes >= 1024 ** 3
    ? `${(bytes / 1024 ** 3).toFixed(1)} GiB`
    : `${Math.floor(bytes / 1024 ** 2)} MiB`;
}
