import { type SectionSchema, section } from '../key-schema.ts';

/** Machines without an agent that build for this one over SSH (docs/agentless.md). */
export interface BuildersConfig {
  /** Whether the machines of Nix's own `builders` setting are among them. Default true. */
  fromNix?: boolean;
  /** Further lines as in a machines file, `@FILE` included. */
  machines?: string[];
}

export const buildersSection: SectionSchema<BuildersConfig> = section(
  'Machines without an agent that build for this one over SSH (docs/agentless.md).',
  {
    fromNix: {
      description:
        'Whether the machines of Nix’s own `builders` setting (`/etc/nix/machines`) are among them.',
      type: 'boolean',
      default: true,
    },
    machines: {
      description:
        'Further machines, each written as a line of a machines file, or `@FILE` for a file of them.',
      type: 'array',
      items: { type: 'string', minLength: 1, maxLength: 4_096 },
      maxItems: 1_024,
      // As in Nix's own setting: a line has commas in it.
      separator: ';',
      default: [],
      examples: [['ssh-ng://ryan@ruby x86_64-linux /root/.ssh/ruby 4 2 kvm,big-parallel']],
    },
  },
);
