import type { HostFacts } from './host-facts.ts';

/** What is done on a machine, in this order. */
export type StepName =
  | 'connect'
  | 'probe'
  | 'copy'
  | 'user'
  | 'trust'
  | 'activate'
  | 'service'
  | 'firewall'
  | 'join'
  | 'seen'
  | 'clean'
  | 'leave'
  | 'files'
  | 'state';

/** How a step is carried out. */
export type StepAction =
  /** A script of the remote shell, run by root. What it prints on stdout takes the place of `says`. */
  | { readonly do: 'script'; readonly script: string }
  /** Brings the release there. */
  | { readonly do: 'copy' }
  /** Takes the agent there into this mesh, unless it is in it. */
  | { readonly do: 'join' }
  /** Waits until it is connected with the agent here. */
  | { readonly do: 'see' }
  /** Takes it out of the mesh. */
  | { readonly do: 'leave'; readonly peerId: string };

export interface InstallStep {
  readonly name: StepName;
  /** What is so when the step is done, for its line. */
  readonly says: string;
  /** Nothing where it is so already. */
  readonly action?: StepAction;
}

/** How the agent is kept running: by the machine's own manager, by a small script of ours, or by somebody else. */
export type ServiceChoice = 'manager' | 'supervise' | 'none';

/** What goes onto a machine. */
export interface ReleaseFacts {
  /** A bundle of ours, or a path of the store with its closure. */
  readonly kind: 'bundle' | 'store';
  /** The bundle's id, or the store path. */
  readonly id: string;
}

/** What is wanted, beside the facts. */
export interface InstallWish {
  readonly release: ReleaseFacts;
  readonly service: ServiceChoice;
  /** Text of the service files of this release. */
  readonly units: { readonly systemd: string; readonly launchd: string };
}

/** Whether the agent there is kept by this choice and this machine's manager. */
export function serviceOf(
  facts: HostFacts,
  choice: ServiceChoice,
): 'systemd' | 'launchd' | 'supervise' | 'none' {
  if (choice !== 'manager') return choice;
  return facts.serviceManager;
}
