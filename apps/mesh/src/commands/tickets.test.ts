import { describe, expect, it } from 'vitest';
import { parseRoles, parseTtl } from './invite.ts';
import { looksLikeTicket, readTicket } from './join.ts';

const usage = expect.objectContaining({ exitCode: 2 });
const TICKET = `mesh1${'abcDEF234_-'.repeat(20)}`;

describe('a ticket', () => {
  it('is told from the name of a file', () => {
    expect(looksLikeTicket(TICKET)).toBe(true);
    for (const file of ['mesh1', 'mesh1-ticket', './mesh1', `dir/${TICKET}`, `${TICKET}.txt`, 'ticket']) {
      expect(looksLikeTicket(file)).toBe(false);
    }
  });

  it('may have space around it, and nothing else', () => {
    expect(readTicket(`\n  ${TICKET}\r\n`)).toBe(TICKET);
    for (const text of ['', 'hello', `${TICKET} ${TICKET}`]) {
      expect(() => readTicket(text)).toThrow(
        expect.objectContaining({ code: 'MESH_BAD_TICKET', exitCode: 1 }),
      );
    }
  });

  it('is good for a time of at most a week', () => {
    expect(parseTtl('10m')).toBe(600_000);
    for (const ttl of ['8d', '10', 'soon']) expect(() => parseTtl(ttl)).toThrow(usage);
  });

  it('gives roles that exist', () => {
    expect(parseRoles('build, admin,build')).toEqual(['build', 'admin']);
    expect(() => parseRoles('build,king')).toThrow(usage);
  });
});
