import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CliError, reportError, usageError } from './errors.ts';

class NixLikeError extends Error {
  readonly code = 'NIX_EVALUATION_FAILED';
  readonly nixMessage = "error: attribute 'x' missing\n  at line 3\n";
}

describe('an error at the end of the command', () => {
  it('is one sentence, with its code for -v', () => {
    const error = new CliError('MESH_X', 1, 'This went wrong; do that.');
    expect(reportError(error, false)).toEqual({
      text: 'mesh: error: This went wrong; do that.',
      exitCode: 1,
    });
    expect(reportError(error, true).text).toBe('mesh: error: This went wrong; do that. [MESH_X]');
    expect(reportError(usageError('No.'), false).exitCode).toBe(2);
  });

  it("keeps Nix's own message below the sentence", () => {
    expect(reportError(new NixLikeError('Nix could not evaluate it.'), false).text).toBe(
      "mesh: error: Nix could not evaluate it.\nerror: attribute 'x' missing\n  at line 3",
    );
  });

  it('says nothing where everything was said', () => {
    expect(reportError(new CliError('BUILD_FAILED', 100, '', { silent: true }), true)).toEqual({
      text: undefined,
      exitCode: 100,
    });
  });

  it("turns the system's own into a sentence about the file", () => {
    expect.assertions(1);
    try {
      readFileSync('/nonexistent');
    } catch (error) {
      expect(reportError(error, false).text).toBe('mesh: error: /nonexistent: no such file or directory.');
    }
  });

  it('shows the stack of a fault of our own', () => {
    const { text, exitCode } = reportError(new TypeError('x is not a function'), false);
    expect(text).toMatch(/^mesh: internal error: TypeError: x is not a function\n +at /);
    expect(exitCode).toBe(1);
  });
});
