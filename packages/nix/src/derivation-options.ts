import type { DerivationOutput } from './derivation.ts';
import { NixError } from './errors.ts';

/** What a derivation asks of the machine and of the scheduler. */
export interface DerivationOptions {
  /** Sorted; includes `ca-derivations` for floating content-addressed outputs, as Nix adds it. */
  readonly requiredSystemFeatures: string[];
  readonly preferLocalBuild: boolean;
  readonly allowSubstitutes: boolean;
  /** `__noChroot`: wants to run outside the sandbox. */
  readonly noChroot: boolean;
  /** The output's hash is given, so it may use the network. */
  readonly isFixedOutput: boolean;
  /** Run by Nix itself (`builtin:fetchurl`), on any system. */
  readonly isBuiltin: boolean;
  /** Floating content-addressed: output paths are known only after the build. */
  readonly isContentAddressed: boolean;
  /** Input-addressed, but below a content-addressed one: paths are not known yet. */
  readonly isDeferred: boolean;
  readonly impure: boolean;
}

interface Options {
  readonly outputs: ReadonlyMap<string, DerivationOutput>;
  readonly builder: string;
  readonly env: ReadonlyMap<string, string>;
}

/**
 * Reads the options of a derivation from its environment or, with `__structuredAttrs`, from `__json`.
 * @throws NixError NIX_BAD_DERIVATION where structured attributes have the wrong type, as Nix does
 */
export function derivationOptions(drv: Options): DerivationOptions {
  const attributes = attributesOf(drv.env);
  const outputs = [...drv.outputs.values()];
  const impure = outputs.some((output) => output.hash === 'impure');
  const isFixedOutput = !impure && outputs.some((output) => output.hash !== '');
  const isContentAddressed =
    !impure && outputs.some((output) => output.hashAlgo !== '' && output.hash === '');
  const features = new Set(attributes.words('requiredSystemFeatures'));
  if (isContentAddressed) features.add('ca-derivations');
  return {
    requiredSystemFeatures: [...features].sort(),
    preferLocalBuild: attributes.flag('preferLocalBuild', false),
    allowSubstitutes: attributes.flag('allowSubstitutes', true),
    noChroot: attributes.flag('__noChroot', false),
    isFixedOutput,
    isBuiltin: drv.builder.startsWith('builtin:'),
    isContentAddressed,
    isDeferred: outputs.some((output) => output.path === '' && output.hashAlgo === ''),
    impure,
  };
}

interface Attributes {
  words(name: string): string[];
  flag(name: string, otherwise: boolean): boolean;
}

function attributesOf(env: ReadonlyMap<string, string>): Attributes {
  const json = env.get('__json');
  return json === undefined ? environmentAttributes(env) : structuredAttributes(json);
}

function environmentAttributes(env: ReadonlyMap<string, string>): Attributes {
  return {
    words: (name) => (env.get(name) ?? '').split(/[ \t\n\r]+/).filter((word) => word !== ''),
    flag: (name, otherwise) => (env.has(name) ? env.get(name) === '1' : otherwise),
  };
}

function structuredAttributes(json: string): Attributes {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch (cause) {
    // Only SyntaxError can come from here: the derivation's text is at fault.
    throw new NixError('NIX_BAD_DERIVATION', 'The derivation has structured attributes that are not JSON.', {
      cause,
    });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new NixError(
      'NIX_BAD_DERIVATION',
      'The derivation has structured attributes that are not an object.',
    );
  }
  const attributes = new Map<string, unknown>(Object.entries(parsed));
  const wrong = (name: string, wanted: string): NixError =>
    new NixError('NIX_BAD_DERIVATION', `The derivation's structured attribute ${name} is not ${wanted}.`);
  return {
    words(name) {
      const value = attributes.get(name) ?? [];
      if (!Array.isArray(value) || !value.every((word) => typeof word === 'string')) {
        throw wrong(name, 'a list of strings');
      }
      return value;
    },
    flag(name, otherwise) {
      const value = attributes.get(name) ?? otherwise;
      if (typeof value !== 'boolean') throw wrong(name, 'a boolean');
      return value;
    },
  };
}
