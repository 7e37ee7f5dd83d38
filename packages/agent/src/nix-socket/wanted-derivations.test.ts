import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { wantedDerivations } from './wanted-derivations.ts';

const DRV = `/nix/store/${'0'.repeat(32)}-hello.drv`;

describe('what of a wish is a derivation to build', () => {
  it('is one with outputs, or with all of them', () => {
    expect(wantedDerivations([`${DRV}!out,dev`, `${DRV}!*`])).toEqual([
      { text: `${DRV}!out,dev`, drvPath: DRV, outputs: ['out', 'dev'] },
      { text: `${DRV}!*`, drvPath: DRV, outputs: [] },
    ]);
  });

  it.each([
    ['a store path', `/nix/store/${'0'.repeat(32)}-hello`],
    ['the file of a derivation', DRV],
    ['an output of a derivation that is itself built', `${DRV}!out!out`],
    ['a path outside of the store', '/etc/passwd.drv!out'],
    ['a path that leads out of the store', `/nix/store/${'0'.repeat(32)}-x/../../etc/x.drv!out`],
    ['an output without a name', `${DRV}!out,`],
  ])('is not %s', (_, text) => {
    expect(wantedDerivations([text])).toEqual([]);
  });

  it('never names a file outside of the store, whatever is wished', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.string(),
            fc.string().map((text) => `${DRV}${text}`),
          ),
        ),
        (wishes) => {
          for (const { drvPath, text } of wantedDerivations(wishes)) {
            expect(drvPath).toMatch(/^\/nix\/store\/[^/]+\.drv$/);
            expect(wishes).toContain(text);
          }
        },
      ),
    );
  });
});
