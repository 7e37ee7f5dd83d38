import { describe, expect, it } from 'vitest';
import { createStyle } from '../render/style.ts';
import { doctorText } from './doctor.ts';

const plain = createStyle(false);

describe('mesh doctor', () => {
  it('says what is so, below it how to mend it, and counts', () => {
    const text = doctorText(
      [
        { check: 'nix', level: 'ok', finding: 'Nix 2.34.8' },
        { check: 'trust', level: 'broken', finding: 'nix-daemon does not trust it', mend: 'trust it' },
        { check: 'sandbox', level: 'warning', finding: 'no sandbox', mend: 'set it' },
        { check: 'clock', level: 'skipped', finding: 'whether clocks agree: no agent runs' },
      ],
      plain,
    );
    expect(text.split('\n')).toEqual([
      'ok       Nix 2.34.8',
      'BROKEN   nix-daemon does not trust it',
      '         -> trust it',
      'warning  no sandbox',
      '         -> set it',
      'skipped  whether clocks agree: no agent runs',
      '',
      '1 broken, 1 warning.',
    ]);
  });

  it('says so where all is well', () => {
    expect(doctorText([{ check: 'nix', level: 'ok', finding: 'Nix 2.34.8' }], plain)).toMatch(
      /All is well\.$/,
    );
  });
});
