import { variableOf } from './environment.ts';
import { leafKeys } from './key-paths.ts';
import type { KeySchema } from './key-schema.ts';
import { configKeys } from './schema.ts';

const BEGIN = '<!-- keys -->';
const END = '<!-- end of keys -->';

/**
 * A document with its list of keys brought up to date: everything between the two marks.
 * @throws Error where it has not both marks
 */
export function withKeys(document: string): string {
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END);
  if (begin === -1 || end < begin)
    throw new Error(`The document needs the lines ${BEGIN} and ${END}; put them in.`);
  return `${document.slice(0, begin + BEGIN.length)}\n\n${keysText()}\n\n${document.slice(end)}`;
}

/** The keys as Markdown: those of no section, then a part for each section. */
function keysText(): string {
  const sections = Object.entries(configKeys).filter(([, { properties }]) => properties !== undefined);
  const alone = Object.fromEntries(
    Object.entries(configKeys).filter(([, { properties }]) => properties === undefined),
  );
  return [
    tableOf(alone, ''),
    ...sections.map(
      ([name, { description, properties }]) =>
        `### ${name}\n\n${description}\n\n${tableOf(properties ?? {}, `${name}.`)}`,
    ),
  ].join('\n\n');
}

function tableOf(keys: Readonly<Record<string, KeySchema>>, prefix: string): string {
  const rows = leafKeys(keys, prefix).map(({ path, schema }) =>
    [
      `\`${path}\``,
      `${schema.description}${example(schema)}`,
      kindOf(schema),
      defaultOf(schema),
      `\`${variableOf(path)}\``,
    ]
      .map((cell) => cell.replaceAll('|', '\\|'))
      .join(' | '),
  );
  return ['key | meaning | kind | without it | environment', '--- | --- | --- | --- | ---', ...rows]
    .map((row) => `| ${row} |`)
    .join('\n');
}

function example({ examples }: KeySchema): string {
  return examples?.[0] === undefined ? '' : ` For example \`${JSON.stringify(examples[0])}\`.`;
}

function defaultOf({ default: value, without }: KeySchema): string {
  if (without !== undefined) return without;
  if (Array.isArray(value) && value.length === 0) return 'none';
  return `\`${JSON.stringify(value)}\``;
}

const KINDS: Record<string, string> = {
  string: 'text',
  integer: 'whole number',
  number: 'number',
  boolean: '`true` or `false`',
  array: 'list',
  object: 'object',
};

/** What a value may be, with its range. */
function kindOf(schema: KeySchema): string {
  const forms = (schema.anyOf ?? schema.oneOf) as readonly KeySchema[] | undefined;
  if (forms !== undefined) return forms.map(kindOf).join(' or ');
  const values = schema.enum as readonly unknown[] | undefined;
  if (values !== undefined) return values.map((value) => `\`${JSON.stringify(value)}\``).join(' or ');
  const kind = [schema.type ?? 'object']
    .flat()
    .map((type) => KINDS[type as string] ?? type)
    .join(' or ');
  const { minimum, maximum } = schema;
  if (minimum !== undefined && maximum !== undefined) return `${kind}, ${minimum} to ${maximum}`;
  if (minimum !== undefined) return `${kind}, at least ${minimum}`;
  return kind;
}
