# What a NixOS machine with services.mesh and `module` besides comes to, as far as the module of the mesh has a say in it.
# `system`: a library with `lib` and `evaluate`, such as options.nix.
{
  module,
  system ? import ./options.nix,
}:
let
  inherit (system) lib;
  inherit (lib) types mkOption;
  option = type: default: mkOption { inherit type default; };
  derivationNamed = name: {
    type = "derivation";
    inherit name;
    outPath = "/nix/store/00000000000000000000000000000000-${name}";
  };
  anySet = types.attrsOf types.anything;

  # The options of NixOS that the module sets, and no others.
  nixos = {
    options = {
      assertions = option (types.listOf types.anything) [ ];
      warnings = option (types.listOf types.str) [ ];
      environment.systemPackages = option (types.listOf types.package) [ ];
      environment.variables = option anySet { };
      environment.etc = option (types.attrsOf (
        types.submodule { options.text = mkOption { type = types.lines; }; }
      )) { };
      networking.firewall.allowedTCPPorts = option (types.listOf (types.port)) [ ];
      networking.firewall.allowedUDPPorts = option (types.listOf (types.port)) [ ];
      nix.package = option types.package (derivationNamed "nix");
      nix.settings = option (types.submodule {
        freeformType = anySet;
        options = {
          trusted-users = option (types.listOf types.str) [ ];
          substituters = option (types.listOf types.str) [ ];
          trusted-public-keys = option (types.listOf types.str) [ ];
        };
      }) { };
      systemd.services = option (types.attrsOf (
        types.submodule {
          freeformType = anySet;
          options.script = option types.lines "";
          options.serviceConfig = option anySet { };
        }
      )) { };
      users.users = option (types.attrsOf anySet) { };
      users.groups = option (types.attrsOf anySet) { };
    };
  };

  inherit
    (system.evaluate {
      modules = [
        nixos
        ../module.nix
        module
      ];
      pkgs.mesh = derivationNamed "mesh";
    })
    config
    ;
in
{
  refused = map (one: one.message) (builtins.filter (one: !one.assertion) config.assertions);
  file = config.environment.etc."mesh/config.json".text or null;
  services = builtins.mapAttrs (_: service: {
    inherit (service) script serviceConfig;
    environment = service.environment or { };
    path = map (one: one.name) (service.path or [ ]);
  }) config.systemd.services;
  firewall = config.networking.firewall;
  nix = config.nix.settings;
  users = builtins.attrNames config.users.users;
  commands = map (one: one.name) config.environment.systemPackages;
  inherit (config) warnings;
  inherit (config.environment) variables;
}
