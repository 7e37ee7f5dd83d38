// Draws a terminal transcript as an SVG picture:   npm run demo 2>&1 | node scripts/transcript-svg.mjs > docs/demo.svg
import { text } from 'node:stream/consumers';

const FONT_PX = 13;
const LINE_PX = 18;
const CHAR_PX = 7.85;
const PADDING_PX = 16;
const COLOURS = { plain: '#d8dee9', build: '#88c0d0', done: '#a3be8c', head: '#ebcb8b', dim: '#7b88a1' };

const escapeXml = (line) => line.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

function colourOf(line) {
  if (/^\w+: built|^built /.test(line)) return COLOURS.done;
  if (/^\w+: building/.test(line)) return COLOURS.build;
  if (/^(derivation|machine|command) {2}/.test(line) || line.startsWith('$ ')) return COLOURS.head;
  if (/^(setup|demo):/.test(line)) return COLOURS.dim;
  return COLOURS.plain;
}

const lines = (await text(process.stdin)).trimEnd().split('\n');
const width = Math.ceil(Math.max(...lines.map((line) => line.length)) * CHAR_PX) + 2 * PADDING_PX;
const height = lines.length * LINE_PX + 2 * PADDING_PX;
const rows = lines.map((line, n) => {
  const y = PADDING_PX + (n + 1) * LINE_PX - 5;
  return `<text x="${PADDING_PX}" y="${y}" fill="${colourOf(line)}">${escapeXml(line)}</text>`;
});
process.stdout.write(`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="mesh build on three machines">
<rect width="100%" height="100%" rx="8" fill="#2e3440"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="${FONT_PX}" xml:space="preserve">
${rows.join('\n')}
</g>
</svg>
`);
