# The command and the agent, from this checkout.
{
  lib,
  stdenv,
  callPackage,
  makeWrapper,
  nodejs_24,
  cacert,
}:
let
  nodejs = nodejs_24;
  nodeModules = callPackage ./node-modules.nix { inherit nodejs cacert; };
  manifest = builtins.fromJSON (builtins.readFile ../package.json);
  root = toString ../.;
in
stdenv.mkDerivation {
  pname = "mesh";
  inherit (manifest) version;

  src = builtins.path {
    name = "mesh-source";
    path = ../.;
    filter =
      path: _type:
      let
        relative = lib.removePrefix "${root}/" (toString path);
        name = baseNameOf path;
      in
      !(builtins.elem name [
        "node_modules"
        "dist"
        ".git"
        ".turbo"
        "result"
      ])
      && builtins.any (wanted: relative == wanted || lib.hasPrefix "${wanted}/" relative) [
        "apps"
        "packages"
        "packaging"
        "package.json"
        "package-lock.json"
        "tsconfig.base.json"
        "LICENSE"
      ];
  };

  nativeBuildInputs = [
    nodejs
    makeWrapper
  ];

  configurePhase = ''
    runHook preConfigure
    cp -R ${nodeModules}/node_modules .
    chmod -R u+w node_modules
    runHook postConfigure
  '';

  buildPhase = ''
    runHook preBuild
    node node_modules/typescript/bin/tsc -b apps/mesh
    runHook postBuild
  '';

  # What only building needs stays behind; so do sources.
  installPhase = ''
    runHook preInstall
    mkdir -p $out/lib/mesh $out/bin
    node -e '
      const { packages } = JSON.parse(require("fs").readFileSync("package-lock.json", "utf8"));
      for (const [path, { dev }] of Object.entries(packages))
        if (dev && path.startsWith("node_modules/")) require("fs").rmSync(path, { recursive: true, force: true });
    '
    rm -rf node_modules/typescript node_modules/@typescript
    find node_modules/@mesh -type l ! -exec test -e {}/dist/. \; -delete
    cp -R apps packages packaging node_modules package.json package-lock.json LICENSE $out/lib/mesh
    find $out/lib/mesh/apps $out/lib/mesh/packages -name src -prune -exec rm -rf {} +
    for command in $out/lib/mesh/apps/mesh/bin/*; do
      makeWrapper $command $out/bin/''${command##*/} --prefix PATH : ${lib.makeBinPath [ nodejs ]}
    done
    runHook postInstall
  '';

  passthru = { inherit nodeModules; };

  meta = {
    inherit (manifest) description;
    license = lib.licenses.mit;
    mainProgram = "mesh";
    platforms = [
      "x86_64-linux"
      "aarch64-linux"
      "x86_64-darwin"
      "aarch64-darwin"
    ];
  };
}
