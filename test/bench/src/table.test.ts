import { describe, expect, test } from 'vitest';
import { figure } from './figure.ts';
import { table } from './table.ts';

describe('the table of figures', () => {
  const figures = [
    figure('wide', 'wide', 's', [4.5, 4.3, 4.4], { required: 5, bound: 4, rivals: { 'Nix, tuned': [6.6] } }),
    figure('chain', 'chain', 'x', [2], { required: 1.5, rivals: { 'Nix, stock': [20] } }),
    figure('copy', 'copy', 's', [2], { rivals: { 'nix copy': [3] } }),
    figure('rss', 'memory', 'MiB', [99]),
  ];

  test('says for each figure what is required, whether it was met, and the rivals beside it', () => {
    expect(table(figures, ['Nix, stock', 'Nix, tuned', 'Nix, home alone'])).toEqual([
      'figure  required  the mesh          bound   Nix, stock     Nix, tuned',
      'wide      <= 5 s     4.4 s     met    4 s               6.6 s (1.5 x)',
      'chain   <= 1.5 x       2 x  MISSED         20 x (10 x)',
      'copy                   2 s                                             nix copy: 3 s (1.5 x)',
      'memory              99 MiB',
    ]);
  });

  test('a figure is its median and is met when that is not above what is required', () => {
    expect(figure('a', 'a', 's', [1, 9, 2], { required: 2 })).toMatchObject({ value: 2, met: true });
    expect(figure('a', 'a', 's', [1, 9, 2.1], { required: 2 })).toMatchObject({ value: 2.1, met: false });
  });
});
