import type { ProcessMemory } from './process-memory.ts';
import type { ProcessEntry, ProcessTable } from './process-table.ts';

/** A build as its processes can be told by. */
export interface BuildIdentity {
  readonly drvPath: string;
  /** Absolute paths; empty where they are not known before the build (content-addressed). */
  readonly outputs: readonly string[];
}

/** Processes looked into at a time, some 10 ms of work: more wait for the next round. */
const MAX_LOOKS = 128;
/** A process that was seen between its start and its builder's has still another's environment. */
const LOOKS_PER_PROCESS = 2;

interface Look {
  inode: number;
  times: number;
  owner?: BuildIdentity;
}

/**
 * Finds the processes of builds. Nix gives every build a user of its own and tells its builder the outputs' paths in the environment:
 * one process that knows an output's path claims its user, and with it all the build's processes. Where builds have no users of their
 * own, the processes that know the path and their descendants are the build.
 */
export class BuildProcesses {
  readonly #table: ProcessTable;
  readonly #memory: ProcessMemory;
  /** Users that run more than builds: root and our own. */
  readonly #sharedUsers: ReadonlySet<number>;
  readonly #looks = new Map<number, Look>();
  readonly #users = new Map<number, { build: BuildIdentity; seen: ReadonlySet<string> }>();

  constructor(table: ProcessTable, memory: ProcessMemory, ownUser: number) {
    this.#table = table;
    this.#memory = memory;
    this.#sharedUsers = new Set([0, ownUser]);
  }

  /**
   * The living processes of each build, and a promise that tells whether some of those not known yet were found to belong to one.
   */
  find(builds: readonly BuildIdentity[]): { found: Map<BuildIdentity, number[]>; looking: Promise<boolean> } {
    const entries = this.#table.list();
    this.#forgetEnded(entries, builds);
    const found = new Map<BuildIdentity, number[]>(builds.map((build) => [build, []]));
    const unknown: ProcessEntry[] = [];
    for (const entry of entries) {
      const owner = this.#users.get(entry.uid)?.build ?? this.#looks.get(entry.pid)?.owner;
      if (owner === undefined) unknown.push(entry);
      else found.get(owner)?.push(entry.pid);
    }
    const strangers = this.#adopt(unknown, found);
    return { found, looking: this.#lookInto(strangers, builds) };
  }

  #forgetEnded(entries: readonly ProcessEntry[], builds: readonly BuildIdentity[]): void {
    const alive = new Map(entries.map((entry) => [entry.pid, entry]));
    for (const [pid, look] of this.#looks) {
      if (alive.get(pid)?.inode !== look.inode) this.#looks.delete(pid);
      else if (look.owner !== undefined && !builds.includes(look.owner)) this.#looks.delete(pid);
    }
    for (const [user, claim] of this.#users) {
      const now = entries.filter(({ uid }) => uid === user).map(keyOf);
      // Only new processes: the build has ended and Nix may have given the user to another.
      const same = builds.includes(claim.build) && now.some((key) => claim.seen.has(key));
      if (same) claim.seen = new Set(now);
      else this.#users.delete(user);
    }
  }

  /** Adds to each build the descendants of its processes, as far as users do not tell; answers the others. */
  #adopt(unknown: readonly ProcessEntry[], found: ReadonlyMap<BuildIdentity, number[]>): ProcessEntry[] {
    const owners = new Map<number, BuildIdentity>();
    for (const [pid, { owner }] of this.#looks) if (owner !== undefined) owners.set(pid, owner);
    if (owners.size === 0) return [...unknown];
    const parents = new Map(
      unknown
        .filter(({ uid }) => this.#sharedUsers.has(uid))
        .map(({ pid }) => [pid, this.#table.parent(pid)]),
    );
    let strangers = [...unknown];
    // Children are mostly listed after their parents, so few rounds are needed.
    for (let before = -1; before !== strangers.length; ) {
      before = strangers.length;
      strangers = strangers.filter(({ pid, inode }) => {
        const owner = owners.get(parents.get(pid) ?? 0);
        if (owner === undefined) return true;
        owners.set(pid, owner);
        this.#looks.set(pid, { inode, times: LOOKS_PER_PROCESS, owner });
        found.get(owner)?.push(pid);
        return false;
      });
    }
    return strangers;
  }

  async #lookInto(strangers: readonly ProcessEntry[], builds: readonly BuildIdentity[]): Promise<boolean> {
    const answers = this.#worthLooking(strangers).map(async (entry) => {
      const { pid, inode, uid } = entry;
      const look: Look = { inode, times: this.#timesLooked(pid) + 1 };
      this.#looks.set(pid, look);
      const build = await this.#identify(pid, builds);
      if (build === undefined) return false;
      if (this.#sharedUsers.has(uid)) look.owner = build;
      else this.#users.set(uid, { build, seen: new Set([keyOf(entry)]) });
      return true;
    });
    return (await Promise.all(answers)).includes(true);
  }

  /** Those not looked into yet before others, of users that may be a build's before root's, young before old. */
  #worthLooking(strangers: readonly ProcessEntry[]): ProcessEntry[] {
    const rank = ({ pid, uid }: ProcessEntry): number =>
      this.#timesLooked(pid) * 2 + Number(this.#sharedUsers.has(uid));
    return strangers
      .filter(({ pid }) => this.#timesLooked(pid) < LOOKS_PER_PROCESS)
      .sort((a, b) => rank(a) - rank(b) || b.pid - a.pid)
      .slice(0, MAX_LOOKS);
  }

  #timesLooked(pid: number): number {
    return this.#looks.get(pid)?.times ?? 0;
  }

  async #identify(pid: number, builds: readonly BuildIdentity[]): Promise<BuildIdentity | undefined> {
    const environment = await this.#memory.environment(pid);
    const values = new Map(
      environment.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
    );
    if (!values.has('NIX_BUILD_TOP')) return undefined;
    const attributes = values.get('NIX_ATTRS_JSON_FILE');
    const structured = attributes === undefined ? undefined : await this.#memory.fileSeenBy(pid, attributes);
    const texts = new Set(values.values());
    return builds.find(({ drvPath, outputs }) => {
      if (outputs.some((path) => texts.has(path) || structured?.includes(`"${path}"`))) return true;
      const name = nameOf(drvPath);
      return (
        outputs.length === 0 && (values.get('name') === name || structured?.includes(`"name":"${name}"`))
      );
    });
  }
}

function keyOf({ pid, inode }: ProcessEntry): string {
  return `${pid}/${inode}`;
}

/** The name Nix tells the builder: of `/nix/store/HASH-NAME.drv`. */
function nameOf(drvPath: string): string {
  return drvPath.replace(/^.*\/[0-9a-z]{32}-/, '').replace(/\.drv$/, '');
}
