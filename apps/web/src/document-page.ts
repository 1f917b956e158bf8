/**
 * A document with the head of the page: its style sheet and its navigation.
 *
 * @param page the page's HTML
 * @param path where the document is
 * @param title what a browser's tab says
 * @param markdown what it says
 */
export function documentPage(page: string, path: string, title: string, markdown: string): string {
  const body = Bun.markdown
    .html(markdown, { tables: true, headings: { ids: true } })
    .replaceAll("<table>", '<div class="table-frame" role="group" aria-label="Table" tabindex="0"><table>')
    .replaceAll("</table>", "</table></div>");
  return page
    .replace(/<script[^>]*><\/script>/, "")
    .replace(/<title>[^<]*/, `<title>${title} · Server-Sent Events`)
    .replace(/<div class="summary">[\s\S]*?<\/div>/, "")
    .replace(/<h1>([^<]*)<\/h1>/, '<p class="brand">$1</p>')
    .replace(/href="#(\w+)"/g, 'href="/#$1"')
    .replace(`<a href="${path}"`, `<a href="${path}" aria-current="page"`)
    .replace(/<noscript[\s\S]*<\/main>[\s\S]*<\/template>/, () => `<main class="report">${body}</main>`);
}
