/** Insertions, deletions and substitutions that make one name of the other (Levenshtein). */
function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

/**
 * The name that a misspelt one was probably meant to be: the nearest within two edits, whatever the case; null when there is
 * none. Of a name as short as `id` one letter has to be right.
 */
export function nearestName(given: string, names: readonly string[]): string | null {
  let nearest: { name: string; distance: number } | null = null;
  for (const name of names) {
    const most = Math.min(2, name.length - 1);
    if (Math.abs(given.length - name.length) > most) continue; // also keeps a long name from costing anything
    const distance = edits(given.toLowerCase(), name.toLowerCase());
    if (distance <= most && distance < (nearest?.distance ?? Infinity)) nearest = { name, distance };
  }
  return nearest?.name ?? null;
}
