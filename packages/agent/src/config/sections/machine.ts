import type { KeySchemas } from '../key-schema.ts';
import { NAME_PATTERN, TAG_PATTERN } from '../patterns.ts';

/** What this machine is called and how much it builds. */
export interface MachineConfig {
  /** Name of this machine in the mesh; its host name by default. */
  name?: string;
  /** Builds at once; Nix's `max-jobs` by default. */
  slots?: number;
  /** Words for `--on tag=…`. */
  tags?: string[];
}

export const machineKeys: KeySchemas<MachineConfig> = {
  name: {
    description: 'Name of this machine in the mesh: up to 63 letters, digits, dots, dashes and underscores.',
    type: 'string',
    pattern: NAME_PATTERN,
    without: 'its host name',
    examples: ['ruby'],
  },
  slots: {
    description: 'Builds at once, of anybody; 0 builds nothing here.',
    type: 'integer',
    minimum: 0,
    maximum: 4_096,
    without: "Nix's `max-jobs`",
  },
  tags: {
    description: 'Words by which `--on tag=rack1` chooses this machine.',
    type: 'array',
    items: { type: 'string', pattern: TAG_PATTERN },
    maxItems: 64,
    uniqueItems: true,
    default: [],
    examples: [['rack1', 'ssd']],
  },
};
