/** Makes a certificate for this machine that nobody else has signed. Needs `openssl`. */
export function makeCertificate(cert: string, key: string): void {
  const request =
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost";
  const names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
  const command = ["openssl", ...request.split(" "), "-addext", names, "-keyout", key, "-out", cert];
  const { success, stderr } = Bun.spawnSync(command);
  if (!success) throw new Error(stderr.toString());
}
