// @ts-check

/**
 * A text as one word of a shell script.
 *
 * @param {string} text
 */
export const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`
