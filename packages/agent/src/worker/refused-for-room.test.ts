import { expect, test } from 'vitest';
import { AgentError } from '../errors.ts';
import { RefusedForRoom } from './refused-for-room.ts';

const noRoom = new AgentError('WORK_NO_ROOM', 'No space left.');

test('a derivation without room on the disk is given back once, and fails here when it comes again', () => {
  const refused = new RefusedForRoom();
  expect(refused.reason('/nix/store/a.drv', noRoom)).toBe('busy');
  expect(refused.reason('/nix/store/b.drv', noRoom)).toBe('busy');
  expect(refused.reason('/nix/store/a.drv', noRoom)).toBe('machine');
});

test('what found room in between may be given back again', () => {
  const refused = new RefusedForRoom();
  refused.reason('/nix/store/a.drv', noRoom);
  refused.forget('/nix/store/a.drv');
  expect(refused.reason('/nix/store/a.drv', noRoom)).toBe('busy');
});

test('inputs that cannot be had for another reason fail here at once', () => {
  expect(new RefusedForRoom().reason('/nix/store/a.drv', new Error('no source'))).toBe('machine');
});
