// Derives packages/schedule/src/cold-start-table.ts from the recorded build graphs, and says how far its guesses are off.
//   node --conditions=@mesh/source scripts/cold-start.mjs [--write]
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

const dags = new URL('../test/dags/', import.meta.url);
const table = new URL('../packages/schedule/src/cold-start-table.ts', import.meta.url);
const source = new URL('../packages/schedule/src/', import.meta.url);
const { packageFamily } = await import(new URL('family.ts', source).href);

/** Landmarks are few: the largest, weighed by how often the recorded graphs need them. */
const LANDMARKS = 220;
const LANDMARK_SECONDS = [60, 135, 300, 670, 1500, 3300, 8000, 20000, 65000];
/** Packages of one language before it counts as a kind of its own, and how alike they must be. */
const MIN_LANGUAGE = 100;
const MAX_LANGUAGE_DEVIATION = 1.6;
/** As nixpkgs spells what the recorded graphs have under another name. */
const SPELLINGS = {
  node: 'nodejs nodejs-slim',
  qt6base: 'qtbase',
  qt6webengine: 'qtwebengine',
  'python-pytorch': 'python-torch',
  'linux-libre': 'linux',
};

const graphs = readdirSync(dags)
  .filter((file) => file.endsWith('.json.gz'))
  .map((file) => JSON.parse(gunzipSync(readFileSync(new URL(file, dags))).toString()));

const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const deviation = (values) => Math.sqrt(mean(values.map((value) => (value - mean(values)) ** 2)));
const ln = (seconds) => Math.log(Math.max(0.05, seconds));

/** One entry a package: builds of the same name cost the same in all graphs but for a handful. */
const packages = new Map();
const uses = new Map();
for (const graph of graphs) {
  const builds = graph.cpuSeconds.map((seconds) => seconds !== null);
  const inputs = graph.deps.map((deps) => deps.filter((dep) => builds[dep]).length);
  const kinds = graph.names.flatMap((_, i) => (graph.kind[i] === 'build' ? [inputs[i]] : []));
  const usualInputs = kinds.sort((a, b) => a - b)[Math.floor(kinds.length / 10)];
  graph.names.forEach((name, i) => {
    if (graph.kind[i] !== 'build') return;
    const family = packageFamily(name);
    if (graph.name !== 'guix-all' && graph.name !== 't2sde-all')
      uses.set(family, (uses.get(family) ?? 0) + 1);
    packages.set(`${name} ${graph.name === 't2sde-all'}`, {
      name,
      family,
      seconds: graph.cpuSeconds[i],
      measured: graph.name === 't2sde-all',
      inputs: inputs[i],
      usualInputs,
    });
  });
}
const all = [...packages.values()];
// Costs in the Guix graphs that T2 does not have are themselves guesses of their makers: shape is fitted to measured ones only.
const measured = new Map(all.filter((p) => p.measured).map((p) => [p.family, p.seconds]));
for (const p of all) p.measured ||= measured.get(p.family) === p.seconds;

/** FNV-1a: which half a family is in does not depend on its place in a file. */
const half = (text) =>
  [...text].reduce((hash, char) => Math.imul(hash ^ char.charCodeAt(0), 16777619), 2166136261) & 64;

function deriveModel(sample) {
  const byLanguage = Map.groupBy(
    sample.filter((p) => p.family.includes('-')),
    (p) => p.family.slice(0, p.family.indexOf('-')),
  );
  const languages = new Map();
  for (const [language, of] of byLanguage) {
    const logs = of.map((p) => ln(p.seconds));
    if (of.length >= MIN_LANGUAGE && deviation(logs) <= MAX_LANGUAGE_DEVIATION)
      languages.set(language, [Math.exp(median(logs)), deviation(logs)]);
  }
  const rest = sample.filter((p) => p.measured && !languages.has(p.family.split('-')[0]));
  const x = rest.map((p) => Math.log1p(Math.min(100, Math.max(0, p.inputs - p.usualInputs))));
  const y = rest.map((p) => ln(p.seconds));
  const slope = mean(x.map((value, i) => (value - mean(x)) * (y[i] - mean(y)))) / deviation(x) ** 2;
  const intercept = median(y.map((value, i) => value - slope * x[i]));
  const residuals = y.map((value, i) => value - intercept - slope * x[i]);
  return { languages, slope, intercept, deviation: deviation(residuals) };
}

function guess(model, p, landmarks) {
  const landmark = landmarks.get(p.family);
  if (landmark !== undefined) return Math.log(landmark);
  const language = p.family.includes('-') ? model.languages.get(p.family.split('-')[0]) : undefined;
  if (language !== undefined) return Math.log(language[0]);
  return model.intercept + model.slope * Math.log1p(Math.min(100, Math.max(0, p.inputs - p.usualInputs)));
}

function errors(label, sample, model, landmarks) {
  const middle = median(sample.map((p) => ln(p.seconds)));
  const constant = sample.map((p) => Math.abs(ln(p.seconds) - middle));
  const cold = sample.map((p) => Math.abs(ln(p.seconds) - guess(model, p, landmarks)));
  return `${label}: ${sample.length} packages, mean |ln error| ${mean(cold).toFixed(2)}, of one constant ${mean(constant).toFixed(2)}`;
}

const model = deriveModel(all);
const families = Map.groupBy(all, (p) => p.family);
const candidates = [...families].flatMap(([family, of]) => {
  const logs = of.map((p) => ln(p.seconds));
  if (/-(?:doc|docs|wrapper|env|headers)$/.test(family)) return [];
  const residual = median(of.map((p) => ln(p.seconds) - guess(model, p, new Map())));
  // Equal costs of several versions are no accident either: they come from a package of another name.
  const known = of.some((p) => p.measured) || (of.length > 1 && deviation(logs) < 1e-6);
  // A family of unlike builds is no landmark.
  if (!known || residual < 0.8 || Math.exp(median(logs)) < 40 || deviation(logs) > 1) return [];
  const seconds = Math.exp(median(logs));
  return [{ family, seconds, score: seconds * Math.sqrt(0.05 + (uses.get(family) ?? 0)) }];
});
const chosen = candidates.sort((a, b) => b.score - a.score).slice(0, LANDMARKS);
const landmarks = new Map();
for (const { family, seconds } of chosen) {
  const nearest = LANDMARK_SECONDS.reduce((best, s) =>
    Math.abs(Math.log(s / seconds)) < Math.abs(Math.log(best / seconds)) ? s : best,
  );
  for (const name of [family, ...(SPELLINGS[family] ?? '').split(' ').filter(Boolean)])
    if (!landmarks.has(name)) landmarks.set(name, nearest);
}

const train = all.filter((p) => half(p.family));
const test = all.filter((p) => !half(p.family));
const reports = [
  errors('held out, landmarks not used, all', test, deriveModel(train), new Map()),
  errors(
    'held out, landmarks not used, measured costs',
    test.filter((p) => p.measured),
    deriveModel(train),
    new Map(),
  ),
  ...graphs
    .filter((graph) => graph.name !== 'guix-all')
    .map((graph) => {
      const sample = graph.names.flatMap((name, i) => {
        const p = graph.kind[i] === 'build' && packages.get(`${name} ${graph.name === 't2sde-all'}`);
        return p ? [{ ...p, seconds: graph.cpuSeconds[i] }] : [];
      });
      return errors(`graph ${graph.name}, landmarks used`, sample, model, landmarks);
    }),
];
for (const line of reports) console.log(line);

const round = (value) => Number(value.toPrecision(2));
const classes = LANDMARK_SECONDS.map((seconds) => ({
  seconds,
  names: [...landmarks]
    .flatMap(([name, s]) => (s === seconds ? [name] : []))
    .sort()
    .join(' '),
})).filter(({ names }) => names !== '');
const wrap = (text, width) => text.match(new RegExp(`.{1,${width}}(?: |$)`, 'g'));
const text = `// Derived by scripts/cold-start.mjs from the build graphs in test/dags: package definitions of GNU Guix 1.5.0 (in Debian's guix
// 1.5.0-1) and T2 SDE (rxrbln/t2sde 115094e56d3a), whose costs are nominal seconds of one core.
${reports
  .slice(0, 2)
  .map((line) => `// ${line}`)
  .join('\n')}

/** Median seconds, and standard deviation of their logarithm, of the packages of a language. */
export const COLD_LANGUAGES: Readonly<Record<string, readonly [seconds: number, deviation: number]>> = {
${[...model.languages]
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .map(([name, [s, d]]) => `  '${name}': [${round(s)}, ${round(d)}],`)
  .join('\n')}
};

/** For all others: \`ln seconds = intercept + slope * ln(1 + inputs beyond the usual ones)\`, and how far off that is. */
export const COLD_SHAPE = {
  intercept: ${round(model.intercept)},
  slope: ${round(model.slope)},
  deviation: ${round(model.deviation)},
  /** Of the landmarks below: classes a factor of two apart, and versions that differ. */
  landmarkDeviation: 0.7,
};

/** Families known to be large, in classes of seconds. */
export const COLD_LANDMARKS: readonly { readonly seconds: number; readonly names: string }[] = [
${classes
  .map(
    ({ seconds, names }) =>
      `  {\n    seconds: ${seconds},\n    names:\n${wrap(names, 92)
        .map((line, i, of) => `      '${line.trimEnd()}${i < of.length - 1 ? " ' +" : "',"}`)
        .join('\n')}\n  },`,
  )
  .join('\n')}
];
`;
if (process.argv.includes('--write')) writeFileSync(table, text);
