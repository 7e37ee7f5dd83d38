import { AGENT_USER } from './constants.ts';

const BEGIN = '# mesh install: begin (taken out by mesh install --uninstall)';
const END = '# mesh install: end';
const BLOCK = `${BEGIN}\nextra-trusted-users = ${AGENT_USER}\n${END}\n`;

/** A nix.conf that trusts the agent's user: our block at its end, where a `trusted-users` line before it cannot undo it. */
export function withTrust(conf: string): string {
  const rest = withoutTrust(conf);
  return `${rest}${rest === '' || rest.endsWith('\n') ? '' : '\n'}${BLOCK}`;
}

/** The same file without our block. */
export function withoutTrust(conf: string): string {
  const start = conf.indexOf(BEGIN);
  if (start < 0) return conf;
  const end = conf.indexOf(END, start);
  // A block without an end was cut by hand: what is ours of it are its first two lines.
  if (end < 0) return conf.slice(0, start) + conf.slice(start).split('\n').slice(2).join('\n');
  const after = conf.slice(end + END.length).replace(/^\n/, '');
  return conf.slice(0, start) + after;
}
