import { AgentError } from '../errors.ts';
import { withValueAt } from './key-paths.ts';
import type { KeySchema } from './key-schema.ts';
import { problemsIn } from './problems.ts';

/**
 * A value as somebody types it, in an environment variable or on the command line: JSON, or a bare word where the key takes one, or words
 * with commas (or the key's own separator) between them where it takes a list.
 * @throws AgentError AGENT_BAD_CONFIG: begins with `place`
 */
export function valueFromText(path: string, schema: KeySchema, text: string, place: string): unknown {
  let problems: readonly string[] = [];
  for (const value of readings(schema, text)) {
    problems = problemsIn(withValueAt({}, path, value));
    if (problems.length === 0) return value;
  }
  throw new AgentError('AGENT_BAD_CONFIG', `${place}: ${problems.join('; ')}.`, { exitCode: 2 });
}

/** What a text may mean, the likeliest first; the last one is what a refusal talks of. */
function readings(schema: KeySchema, text: string): unknown[] {
  const json = jsonOf(text);
  const asJson = json === undefined ? [] : [json.value];
  if (schema.type === 'array') {
    if (Array.isArray(json?.value)) return asJson;
    return [
      text.trim() === ''
        ? []
        : text.split(schema.separator ?? ',').map((item) => jsonItem(schema, item.trim())),
    ];
  }
  if (schema.type === 'string') return [text];
  // A number that is no JSON is shown as it was typed.
  return json === undefined ? [text] : schema.type === undefined ? [...asJson, text] : asJson;
}

function jsonItem(schema: KeySchema, item: string): unknown {
  const items = schema.items as KeySchema | undefined;
  return items?.type === 'string' ? item : (jsonOf(item)?.value ?? item);
}

function jsonOf(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    // Not JSON: a bare word.
    return undefined;
  }
}
