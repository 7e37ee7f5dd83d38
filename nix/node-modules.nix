# node_modules of package-lock.json, without npm's own installing: every package is fetched by itself, under the hash that the lock file
# has for it, and unpacked where the lock file says. So there is no hash to keep in step with the lock file, and no script of any
# package runs.
{
  lib,
  runCommand,
  stdenv,
  nodejs,
  cacert,
}:
let
  lock = builtins.fromJSON (builtins.readFile ../package-lock.json);
  os = if stdenv.hostPlatform.isDarwin then "darwin" else "linux";
  cpu = if stdenv.hostPlatform.isAarch64 then "arm64" else "x64";
  libc = if stdenv.hostPlatform.isMusl then "musl" else "glibc";

  # `os`, `cpu` and `libc` of a package: what it is for, or with `!` what it is not for.
  fits =
    package: field: value:
    let
      given = lib.toList (package.${field} or [ ]);
      named = builtins.filter (one: !(lib.hasPrefix "!" one)) given;
    in
    !(builtins.elem "!${value}" given) && (named == [ ] || builtins.elem value named);
  # The name of what lies at `node_modules/a/node_modules/@b/c`, which is `@b/c` unless it is an alias.
  nameAt = path: package: package.name or (lib.last (lib.splitString "node_modules/" path));

  wanted = lib.filterAttrs (
    path: package:
    lib.hasInfix "node_modules/" path
    && !(package.link or false)
    && fits package "os" os
    && fits package "cpu" cpu
    && fits package "libc" libc
    # Node itself comes from nixpkgs.
    && !(lib.hasPrefix "node-${os}-" (nameAt path package))
  ) lock.packages;
  links = lib.filterAttrs (_: package: package.link or false) lock.packages;

  # npm knows its registry and honours NPM_CONFIG_REGISTRY of nix-daemon; the hash is the lock file's.
  tarball =
    path: package:
    let
      spec = "${nameAt path package}@${package.version}";
    in
    runCommand (lib.strings.sanitizeDerivationName "${spec}.tgz")
      {
        nativeBuildInputs = [ nodejs ];
        outputHashMode = "flat";
        outputHash = package.integrity;
        SSL_CERT_FILE = "${cacert}/etc/ssl/certs/ca-bundle.crt";
        NODE_EXTRA_CA_CERTS = "${cacert}/etc/ssl/certs/ca-bundle.crt";
        impureEnvVars = lib.fetchers.proxyImpureEnvVars ++ [ "NPM_CONFIG_REGISTRY" ];
      }
      ''
        export HOME=$TMPDIR
        npm pack --silent --ignore-scripts ${lib.escapeShellArg spec}
        mv ./*.tgz $out
      '';

  unpack = path: package: ''
    mkdir -p $out/${lib.escapeShellArg path}
    tar -xzf ${tarball path package} -C $out/${lib.escapeShellArg path} --strip-components=1 --no-same-owner
  '';
  link = path: package: ''
    mkdir -p $out/${lib.escapeShellArg (builtins.dirOf path)}
    ln -s ${lib.escapeShellArg "../../${package.resolved}"} $out/${lib.escapeShellArg path}
  '';
in
runCommand "mesh-node-modules"
  {
    passthru = {
      inherit wanted links tarball;
    };
  }
  ''
    ${lib.concatStrings (lib.mapAttrsToList unpack wanted)}
    ${lib.concatStrings (lib.mapAttrsToList link links)}
    # Some packages come with folders nobody may write into or files nobody may read.
    chmod -R u+rwX,go+rX $out
  ''
