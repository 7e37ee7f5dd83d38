import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { withKeys } from './documentation.ts';
import { leafKeys } from './key-paths.ts';
import { configKeys, configSchema } from './schema.ts';

const repository = new URL('../../../../', import.meta.url);
const read = (path: string) => readFile(new URL(path, repository), 'utf8');

describe('what is made of the schema (`npm run docs` brings it up to date)', () => {
  it('docs/configuration.md has every key', async () => {
    const document = await read('docs/configuration.md');
    expect(document).toBe(withKeys(document));
    for (const { path } of leafKeys(configKeys)) expect(document).toContain(`\`${path}\``);
  });

  it('nix/config-schema.json is the schema', async () => {
    expect(JSON.parse(await read('nix/config-schema.json'))).toEqual(
      JSON.parse(JSON.stringify(configSchema)),
    );
  });
});

describe('the NixOS service', () => {
  it('is packaging/systemd/mesh.service', async () => {
    const unit = await read('packaging/systemd/mesh.service');
    const service = /\[Service\]\n([\s\S]*?)\n\[/.exec(unit)?.[1] ?? '';
    const lines = service.split('\n').filter((line) => /^[A-Z]/.test(line));
    const own = /^(ExecStart|Environment)=/;
    const nix = await read('nix/service-config.nix');
    const settings = [...nix.matchAll(/^ {2}(\w+) = "(.*)";$/gm)].map(([, key, value]) => `${key}=${value}`);
    expect(settings).toEqual(lines.filter((line) => !own.test(line)));
  });
});
