import { describe, expect, it } from 'vitest';
import { isTrusted } from './daemon-trust.ts';

describe('trusted-users, where the daemon does not say whom it trusts', () => {
  const groups = () => ['mesh', 'wheel'];

  it.each([
    [['root', 'mesh'], true],
    [['*'], true],
    [['root', '@wheel'], true],
    [['root'], false],
    [['root', 'wheel', '@mes'], false],
    [[], false],
  ])('%j', (trustedUsers, expected) => {
    expect(isTrusted(trustedUsers, 'mesh', groups)).toBe(expected);
  });

  it('asks for the groups only where one is named', () => {
    const unasked = () => {
      throw new Error('asked');
    };
    expect(isTrusted(['root'], 'mesh', unasked)).toBe(false);
  });
});
