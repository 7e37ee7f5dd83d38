// Brings what is made of the configuration's schema up to date: `npm run docs`. Writes docs/configuration.md (its list of keys) and
// nix/config-schema.json, by which the NixOS module knows the keys.
import { readFileSync, writeFileSync } from 'node:fs';
import { withKeys } from '../packages/agent/src/config/documentation.ts';
import { configSchema } from '../packages/agent/src/config/schema.ts';

const document = new URL('../docs/configuration.md', import.meta.url);
writeFileSync(document, withKeys(readFileSync(document, 'utf8')));
writeFileSync(
  new URL('../nix/config-schema.json', import.meta.url),
  `${JSON.stringify(configSchema, undefined, 2)}\n`,
);
