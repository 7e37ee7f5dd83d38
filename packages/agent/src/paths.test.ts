import { describe, expect, test } from 'vitest';
import { resolvePaths } from './paths.ts';

describe('where state and sockets are', () => {
  test('for root: the machine’s places', () => {
    expect(resolvePaths({ uid: 0, env: {} })).toEqual({ stateDir: '/var/lib/mesh', socketDir: '/run/mesh' });
  });

  test('for a user: the XDG directories, or their defaults', () => {
    const env = { HOME: '/home/u', XDG_STATE_HOME: '/home/u/state', XDG_RUNTIME_DIR: '/run/user/7' };
    expect(resolvePaths({ uid: 7, env })).toEqual({
      stateDir: '/home/u/state/mesh',
      socketDir: '/run/user/7/mesh',
    });
    expect(resolvePaths({ uid: 7, env: { HOME: '/home/u' } })).toEqual({
      stateDir: '/home/u/.local/state/mesh',
      socketDir: '/home/u/.local/state/mesh/run',
    });
  });

  test('a state directory given by hand brings its sockets with it, and wins over the environment', () => {
    expect(resolvePaths({ uid: 7, env: { MESH_STATE_DIR: '/a' } })).toEqual({
      stateDir: '/a',
      socketDir: '/a/run',
    });
    expect(resolvePaths({ uid: 7, env: { MESH_STATE_DIR: '/a' }, stateDir: '/b' }).socketDir).toBe('/b/run');
  });

  test('root’s agent with a state directory of its own is also found where the machine’s is', () => {
    expect(resolvePaths({ uid: 0, env: {}, stateDir: '/b' })).toEqual({
      stateDir: '/b',
      socketDir: '/b/run',
      defaultSocketDir: '/run/mesh',
    });
  });

  test('a socket directory given by hand is the only one', () => {
    expect(resolvePaths({ uid: 0, env: { MESH_SOCKET_DIR: '/s' }, stateDir: '/b' })).toEqual({
      stateDir: '/b',
      socketDir: '/s',
    });
  });
});
