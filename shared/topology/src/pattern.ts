import { RE2JS } from 're2js';

/** Answers whether a destination's name is meant. */
export type Matcher = (name: string) => boolean;

/**
 * Compiles an ActiveMQ wildcard. Words are separated by dots and may be empty; `*` as a whole word is any one word;
 * `>` as the last word is any number of further words, **none included**: `orders.>` means `orders`, `orders.eu` and
 * `orders.eu.new`, and `orders.*.>` means `orders.eu` but not `orders`. A `*` or `>` anywhere else is an ordinary
 * character. That is what ActiveMQ Classic does (activemq-client, `org.apache.activemq.filter`: `DestinationFilter`
 * `.parseFilter` chooses by the last word, `PrefixDestinationFilter.matches` has the case "A matches A.>" and collapses
 * repeated `>` at the end, `WildcardDestinationFilter.matches` wants equal lengths).
 */
export function compileWildcard(pattern: string): Matcher {
  const { words, open } = wordsOf(pattern);
  if (!open && !words.includes('*')) return (name) => name === pattern;
  return (name) => {
    const path = name.split('.');
    // `>` alone has no words left, and even the empty name has one word.
    if (open ? path.length < words.length : path.length !== words.length) return false;
    return words.every((word, index) => word === '*' || word === path[index]);
  };
}

/** True when the pattern can mean one name only. */
export function isExact(pattern: string): boolean {
  const words = pattern.split('.');
  return words.at(-1) !== '>' && !words.includes('*');
}

/** True when `*` or `>` stands where ActiveMQ takes it for an ordinary character, which is rarely what was meant. */
export function hasLiteralWildcard(pattern: string): boolean {
  const words = pattern.split('.');
  while (words.at(-1) === '>') words.pop();
  return words.some((word) => word.includes('>') || (word.includes('*') && word !== '*'));
}

/**
 * True when every name that `inner` means is meant by `outer` too. Never true wrongly; for two wildcards it is exact,
 * because a word that only `*` can match always exists.
 */
export function covers(outer: string, inner: string): boolean {
  const { words: innerWords, open: innerOpen } = wordsOf(inner);
  const { words: outerWords, open: outerOpen } = wordsOf(outer);
  if (innerOpen && !outerOpen) return false;
  if (outerOpen ? innerWords.length < outerWords.length : innerWords.length !== outerWords.length) {
    // `>` and `*.>` mean the same: every name has at least one word.
    const least = innerOpen && innerWords.length === 0 && outerWords.length === 1 && outerWords[0] === '*';
    return outerOpen && least;
  }
  return outerWords.every((word, index) => word === '*' || word === innerWords[index]);
}

/** True when there is a name that both wildcards mean. */
export function overlaps(one: string, other: string): boolean {
  const { words: oneWords, open: oneOpen } = wordsOf(one);
  const { words: otherWords, open: otherOpen } = wordsOf(other);
  if (!oneOpen && otherWords.length > oneWords.length) return false;
  if (!otherOpen && oneWords.length > otherWords.length) return false;
  const common = Math.min(oneWords.length, otherWords.length);
  return oneWords.slice(0, common).every((word, index) => {
    const its = otherWords[index];
    return word === its || word === '*' || its === '*';
  });
}

/** What a wildcard says of a name: its words, and whether others may follow (`>`). */
function wordsOf(pattern: string): { readonly words: readonly string[]; readonly open: boolean } {
  const words = pattern.split('.');
  const open = words.at(-1) === '>';
  while (words.at(-1) === '>') words.pop();
  return { words, open };
}

/**
 * Compiles a regular expression in RE2's syntax (no look-around, no back-references), found anywhere in the name unless
 * anchored. RE2 matches in time linear in the name's length, so that no expression in a file, and no queue's name
 * chosen by a tenant, can stop the bridge.
 * @returns undefined when it is not one
 */
export function compileRegex(expression: string): Matcher | undefined {
  try {
    const compiled = RE2JS.compile(expression);
    return (name) => compiled.matcher(name).find();
  } catch {
    return undefined;
  }
}

export type PatternKind = 'queue' | 'queueRegex' | 'exchange' | 'topic';

/** What an entry of an include or exclude list means by name. */
export interface Pattern {
  readonly kind: PatternKind;
  readonly pattern: string;
}

const compiled = new WeakMap<Pattern, Matcher>();

/** Whether the entry means this name; compiled once per entry. An expression that is none matches nothing. */
export function matches(entry: Pattern, name: string): boolean {
  let matcher = compiled.get(entry);
  if (!matcher) {
    matcher =
      entry.kind === 'queueRegex' ? (compileRegex(entry.pattern) ?? (() => false)) : compileWildcard(entry.pattern);
    compiled.set(entry, matcher);
  }
  return matcher(name);
}
