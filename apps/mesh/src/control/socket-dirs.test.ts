import { describe, expect, it } from 'vitest';
import { socketDirs } from './socket-dirs.ts';

const user = { uid: 1000, stateDir: undefined };

describe('where the command looks for an agent', () => {
  it('is the machine for root', () => {
    expect(socketDirs({ uid: 0, env: {}, stateDir: undefined })).toEqual(['/run/mesh']);
  });

  it('is the user first, then the machine', () => {
    expect(socketDirs({ ...user, env: { XDG_RUNTIME_DIR: '/run/user/1000' } })).toEqual([
      '/run/user/1000/mesh',
      '/run/mesh',
    ]);
  });

  it('is the named place alone', () => {
    expect(socketDirs({ ...user, env: {}, stateDir: '/s' })).toEqual(['/s/run']);
    expect(socketDirs({ ...user, env: { MESH_STATE_DIR: '/s' } })).toEqual(['/s/run']);
    expect(socketDirs({ ...user, env: { MESH_SOCKET_DIR: '/r' } })).toEqual(['/r']);
  });
});
