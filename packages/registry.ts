import type { Manifest } from "./pack.ts";

/**
 * Serves tarballs as an npm registry, of one version of each package and nothing else.
 *
 * @param tarballs by the names of their packages
 * @param port 0: one that is free
 */
export async function serveRegistry(
  tarballs: Readonly<Record<string, string>>,
  port: number,
): Promise<{ url: string; stop: () => Promise<void> }> {
  const hash = new Bun.CryptoHasher("sha256");
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const manifests = new Map<string, Manifest>();
  for (const [name, path] of Object.entries(tarballs)) {
    const bytes = await Bun.file(path).bytes();
    const manifest = (await new Bun.Archive(bytes).files()).get("package/package.json")!;
    manifests.set(name, JSON.parse(await manifest.text()) as Manifest);
    files.set(`${name}.tgz`, bytes);
    hash.update(bytes);
  }
  // Deno keeps a tarball by its registry and version for ever. Other contents are another registry.
  const base = `/${hash.digest("hex").slice(0, 16)}/`;
  const server = Bun.serve({
    port,
    hostname: "localhost",
    fetch({ url }) {
      const { pathname, origin } = new URL(url);
      const name = decodeURIComponent(pathname.slice(base.length));
      const file = files.get(name);
      if (file !== undefined) return new Response(file);
      const manifest = manifests.get(name);
      if (manifest === undefined) return new Response(null, { status: 404 });
      const { version } = manifest;
      const tarball = `${name}.tgz`;
      const sha512 = new Bun.CryptoHasher("sha512").update(files.get(tarball)!).digest("base64");
      const dist = { tarball: `${origin}${base}${tarball}`, integrity: `sha512-${sha512}` };
      return Response.json({
        name,
        "dist-tags": { latest: version },
        versions: { [version]: { ...manifest, dist } },
      });
    },
  });
  return { url: `${server.url.origin}${base}`, stop: () => server.stop(true) };
}
