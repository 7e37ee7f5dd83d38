import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { encodeBase32 } from './base32.ts';
import { isContentAddressed } from './content-address.ts';

const ofText = (algorithm: string, text: string) => encodeBase32(createHash(algorithm).update(text).digest());

/*
 * Paths as Nix 2.34 made them: `builtins.toFile`, `nix-store --add`, `nix-store --add-fixed [--recursive] ALGORITHM` of a file `hello`
 * with the text `hello`, and a text that refers to another.
 */
const MADE_BY_NIX = [
  {
    path: '/nix/store/klaxa42b4knrq9wwaiaqpynm0kb68vqk-hello-md5',
    ca: 'fixed:md5:4jqlbi14cxf6wpcajbphm40hax',
    references: [],
  },
  {
    path: '/nix/store/628klfy3c8kmpx3q2psk7lvvdmfplmy1-hello-md5--recursive',
    ca: 'fixed:r:md5:4v4vb45jfpfg36w1gvq5b11xym',
    references: [],
  },
  {
    path: '/nix/store/1hxpwdq7vx7dp4s3rb8ii7vgx59c4j8s-hello-sha1--recursive',
    ca: 'fixed:r:sha1:x5zjnshbjrrhpg88n2da87884cmn2i2i',
    references: [],
  },
  {
    path: '/nix/store/f6mi47a0ivjlk3d6a6684qdh6pjh5qri-hello-sha256--recursive',
    ca: 'fixed:r:sha256:0sg9f58l1jj88w6pdrfdpj5x9b1zrwszk84j81zvby36q9whhhqa',
    references: [],
  },
  {
    path: '/nix/store/yqi18hzk6wxzj2ksv7x9k8rnnzwirzz9-hello',
    ca: 'fixed:r:sha256:0sg9f58l1jj88w6pdrfdpj5x9b1zrwszk84j81zvby36q9whhhqa',
    references: [],
  },
  {
    path: '/nix/store/q608lw4j3vsz5vl8p4xzsn8bhxiy1qq1-hello-sha512--recursive',
    ca: 'fixed:r:sha512:21h4z9pi1hsg8dqdz1v12fc27kmkmibrw4bw8ddjfmafdpbvp2cp8k9153n6mfi655ajmp7dh5z1i1iaj72b7nrvnc53271zlj286qd',
    references: [],
  },
  {
    path: '/nix/store/rw2ygl1p81q4464ms0zagyd2jqf6m8vf-hello-sha1',
    ca: 'fixed:sha1:9m1skbnr5i43n3yypvda5s65vhfwdx5a',
    references: [],
  },
  {
    path: '/nix/store/1gzj6jvsc3j8p58v6f16ja0239826r8w-hello-sha256',
    ca: 'fixed:sha256:094qif9n4cq4fdg459qzbhg1c6wywawwaaivx0k0x8xhbyx4vwic',
    references: [],
  },
  {
    path: '/nix/store/ck4kqf4cb7852b5igsjqdkzanw1cr7vc-hello-sha512',
    ca: 'fixed:sha512:11w1pmwfdpz9pisbhp5qiv38q6dmidq2ipcqykw3p0sb6yrqcij79rwcwcjbxyzwbdal349qbxrncbk7pmd6snljrfpiwv2pljd4wcv',
    references: [],
  },
  {
    path: '/nix/store/hryqmcj4b8a04mhxl5bpm763lm15cfkp-plain',
    ca: 'text:sha256:094qif9n4cq4fdg459qzbhg1c6wywawwaaivx0k0x8xhbyx4vwic',
    references: [],
  },
  {
    path: '/nix/store/0wz8xzbh996rnqpkxflzgca6p0xvbvfd-refers',
    ca: 'text:sha256:1d7m7scbhkjrkmkj4w516balas5z1h2djfk3mihbwbqjsl0v574i',
    references: ['/nix/store/hryqmcj4b8a04mhxl5bpm763lm15cfkp-plain'],
  },
] as const;

describe('a content-addressed path', () => {
  test.each(MADE_BY_NIX)('$ca', ({ path, ca, references }) => {
    expect(isContentAddressed({ path, ca, references })).toBe(true);
  });

  test.each(MADE_BY_NIX)('$ca: with another name, reference or content it is another path', (info) => {
    const { path, ca, references } = info;
    const other = '/nix/store/00000000000000000000000000000000-other';
    expect(isContentAddressed({ path: `${path}x`, ca, references })).toBe(false);
    expect(isContentAddressed({ path, ca, references: [...references, other] })).toBe(false);
    expect(isContentAddressed({ path, ca, references: [...references, path] })).toBe(false);
    const [, algorithm = ''] = /([a-z0-9]+):[a-z0-9]+$/.exec(ca) ?? [];
    const forged = ca.replace(/:[a-z0-9]+$/, `:${ofText(algorithm, 'something else')}`);
    expect(isContentAddressed({ path, ca: forged, references })).toBe(false);
  });

  test('is one only with an address that can be read', () => {
    const { path, references } = MADE_BY_NIX[0];
    for (const ca of [
      '',
      'text',
      'text:sha256:',
      'text:sha256:e',
      'text:sha1:0',
      'fixed:x:sha256:0',
      'text:r:sha256:0',
    ]) {
      expect(isContentAddressed({ path, references, ca })).toBe(false);
    }
    expect(isContentAddressed({ path, references })).toBe(false);
  });
});
