# The agent of a NixOS machine. Options become /etc/mesh/config.json, which the agent reads under its own file (docs/configuration.md);
# the service is packaging/systemd/mesh.service.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    literalExpression
    mkEnableOption
    mkIf
    mkMerge
    mkOption
    optional
    optionalAttrs
    types
    ;
  cfg = config.services.mesh;

  schema = builtins.fromJSON (builtins.readFile ./config-schema.json);
  keys = schema.properties;
  stateDir = "/var/lib/mesh";
  runtimeDir = "/run/mesh";
  allRoles = [
    "build"
    "submit"
    "admin"
  ];

  set = path: value: optionalAttrs (value != null && value != [ ]) (lib.setAttrByPath path value);
  # What the options say; `settings` goes over it.
  ofOptions = lib.foldl' lib.recursiveUpdate { } [
    { configVersion = 1; }
    (set [ "name" ] cfg.name)
    (set [ "slots" ] cfg.maxJobs)
    (set [ "tags" ] cfg.tags)
    (set [ "offer" "cores" ] cfg.cores)
    (set [ "offer" "hours" ] cfg.hours)
    (set [ "builders" "machines" ] cfg.extraBuilders)
    (optionalAttrs (!(builtins.elem "build" cfg.roles)) { offer.slots = 0; })
  ];
  effective = lib.recursiveUpdate ofOptions cfg.settings;

  valueOf = path: lib.attrByPath path (defaultOf path) effective;
  defaultOf =
    path:
    let
      parts = lib.concatMap (name: [ "properties" name ]) path;
    in
    lib.attrByPath (parts ++ [ "default" ]) null schema;

  # Paths in `value` that the schema does not know.
  unknownIn =
    prefix: properties: value:
    lib.concatMap (
      name:
      let
        path = "${prefix}${name}";
        below = properties.${name};
      in
      if !(properties ? ${name}) then
        [ path ]
      else if below ? properties && builtins.isAttrs value.${name} then
        unknownIn "${path}." below.properties value.${name}
      else
        [ ]
    ) (builtins.attrNames value);
  unknown = unknownIn "" keys cfg.settings;

  listenPort = valueOf [ "listenPort" ];
  transferPort = valueOf [ "transferPort" ];
  cachePort = valueOf [ "cache" "port" ];
  cacheEnabled = valueOf [ "cache" "enabled" ];
  frontDoorEnabled = valueOf [ "frontDoor" "enabled" ];
  frontDoorPort = valueOf [ "frontDoor" "port" ];
  # 0 is any port that is free.
  openPorts = builtins.filter (port: port != 0) (
    [ listenPort transferPort ] ++ optional frontDoorEnabled frontDoorPort
  );
  ports = openPorts ++ optional cacheEnabled cachePort;
  keyFile = if cfg.enrolmentKeyFile == null then "" else toString cfg.enrolmentKeyFile;
in
{
  options.services.mesh = {
    enable = mkEnableOption "the mesh agent, which builds Nix derivations with the machines of this LAN";

    package = mkOption {
      type = types.package;
      default = pkgs.mesh;
      defaultText = literalExpression "pkgs.mesh";
      description = "The mesh to run.";
    };

    name = mkOption {
      type = types.nullOr (types.strMatching keys.name.pattern);
      default = null;
      example = "ruby";
      description = "Name of this machine in the mesh; its host name by default.";
    };

    roles = mkOption {
      type = types.listOf (types.enum allRoles);
      default = allRoles;
      description = ''
        What this machine does in the mesh: without `build` it gives others nothing. What it may do is written in the ticket it joins with
        (`mesh invite --roles`), which this cannot widen.
      '';
    };

    enrolmentKeyFile = mkOption {
      type = types.nullOr (types.either types.path types.str);
      default = null;
      example = "/run/secrets/mesh-ticket";
      description = ''
        File with a ticket of `mesh invite --ttl 7d`, outside the Nix store, with which this machine joins its mesh. A ticket is good for one
        machine and used once; another ticket in the file is used again.
      '';
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Open the ports of the agent: TCP for members, UDP 5353 for multicast DNS, and the SSH front door where it is on.";
    };

    maxJobs = mkOption {
      type = types.nullOr types.ints.unsigned;
      default = null;
      description = "Builds at once, of anybody; Nix's `max-jobs` by default.";
    };

    cores = mkOption {
      type = types.nullOr types.ints.positive;
      default = null;
      description = "Processor cores for all builds of the mesh together; all by default.";
    };

    tags = mkOption {
      type = types.listOf (types.strMatching keys.tags.items.pattern);
      default = [ ];
      example = [ "rack1" ];
      description = "Words by which `mesh build --on tag=rack1` chooses this machine.";
    };

    hours = mkOption {
      type = types.listOf (types.strMatching keys.offer.properties.hours.items.pattern);
      default = [ ];
      example = [ "22:00-07:00" ];
      description = "Times of the day, local time, in which others may use this machine; always by default.";
    };

    extraBuilders = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "ssh-ng://builder@aquamarine aarch64-linux /root/.ssh/id_builder 4 1 kvm" ];
      description = "Machines without an agent, as lines of `/etc/nix/machines`, beside those that Nix itself is configured with.";
    };

    settings = mkOption {
      type = types.attrsOf types.anything;
      default = { };
      example = {
        upload.limitRate = "10M";
      };
      description = "Any key of docs/configuration.md; goes over the other options.";
    };

    useAsSubstituter = mkOption {
      type = types.bool;
      default = false;
      description = "Let Nix on this machine fetch from the mesh, through the agent's binary cache on 127.0.0.1.";
    };

    publicKey = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "The key of this machine's agent, as `mesh cache trust --nixos` prints it once it has run: Nix then takes what members built.";
    };

    setNixRemote = mkOption {
      type = types.bool;
      default = false;
      description = "Set `NIX_REMOTE` for all users, so that every Nix command builds with the mesh.";
    };
  };

  config = mkIf cfg.enable (mkMerge [
    {
      assertions = [
        {
          assertion = unknown == [ ];
          message = "services.mesh.settings: there is no key ${lib.concatStringsSep ", " unknown}; docs/configuration.md has them all.";
        }
        {
          assertion = lib.length (lib.unique ports) == lib.length ports;
          message = "services.mesh: two of the agent's ports are the same (${lib.concatMapStringsSep ", " toString ports}); set listenPort, transferPort, cache.port and frontDoor.port apart.";
        }
        {
          assertion = cfg.enrolmentKeyFile == null || lib.hasPrefix "/" keyFile;
          message = "services.mesh.enrolmentKeyFile: ${keyFile} is not an absolute path; give one like \"/run/secrets/mesh-ticket\".";
        }
        {
          assertion = cfg.enrolmentKeyFile == null || !(builtins.isPath cfg.enrolmentKeyFile || lib.hasPrefix "${builtins.storeDir}/" keyFile);
          message = "services.mesh.enrolmentKeyFile: a ticket is a secret and the Nix store is readable by everybody; give a path outside of it, in quotes.";
        }
        {
          assertion = cfg.useAsSubstituter -> cacheEnabled;
          message = "services.mesh.useAsSubstituter needs the agent's binary cache; take cache.enabled = false out of services.mesh.settings.";
        }
        {
          assertion = cfg.setNixRemote -> builtins.elem "submit" cfg.roles;
          message = "services.mesh.setNixRemote sends builds to the mesh, which this machine may not; add \"submit\" to services.mesh.roles.";
        }
      ];
      warnings = optional (cfg.useAsSubstituter && cfg.publicKey == null)
        "services.mesh.useAsSubstituter: without services.mesh.publicKey Nix takes from the mesh only what other keys vouch for; `mesh cache trust --nixos` prints it.";

      environment.systemPackages = [ cfg.package ];
      environment.etc."mesh/config.json".text = builtins.toJSON effective;

      users.users.mesh = {
        isSystemUser = true;
        group = "mesh";
        home = stateDir;
        description = "Mesh agent";
      };
      users.groups.mesh = { };
      # It imports what members built, and builds for them.
      nix.settings.trusted-users = [ "mesh" ];

      systemd.services.mesh = {
        description = "Mesh agent: builds Nix derivations with the machines of this LAN";
        wantedBy = [ "multi-user.target" ];
        wants = [ "network-online.target" ];
        after = [
          "network-online.target"
          "nix-daemon.socket"
          "nix-daemon.service"
        ];
        path = [ config.nix.package ];
        restartTriggers = [ (builtins.toJSON effective) ];
        environment = {
          HOME = stateDir;
          MESH_STATE_DIR = stateDir;
          MESH_SOCKET_DIR = runtimeDir;
        };
        serviceConfig = import ./service-config.nix // {
          ExecStart = "${cfg.package}/bin/mesh agent";
        };
      };
    }

    (mkIf (cfg.enrolmentKeyFile != null) {
      systemd.services.mesh-enrol = {
        description = "Takes this machine into its mesh";
        wantedBy = [ "multi-user.target" ];
        requires = [ "mesh.service" ];
        after = [ "mesh.service" ];
        environment = {
          MESH_STATE_DIR = stateDir;
          MESH_SOCKET_DIR = runtimeDir;
        };
        # A ticket works once, so it is remembered which one was used.
        script = ''
          ticket=$CREDENTIALS_DIRECTORY/ticket
          used=${stateDir}/enrolled
          sum=$(sha256sum < "$ticket")
          if [ -e "$used" ] && [ "$(cat "$used")" = "$sum" ]; then exit 0; fi
          ${cfg.package}/bin/mesh join "$ticket"
          printf '%s\n' "$sum" > "$used"
        '';
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          User = "mesh";
          Group = "mesh";
          UMask = "0077";
          LoadCredential = "ticket:${keyFile}";
          # The inviter may be away; so may the agent's socket, for a second.
          Restart = "on-failure";
          RestartSec = 30;
        };
      };
    })

    (mkIf cfg.openFirewall {
      networking.firewall.allowedTCPPorts = openPorts;
      networking.firewall.allowedUDPPorts = optional (valueOf [ "mdns" ]) 5353;
    })

    (mkIf cfg.useAsSubstituter {
      nix.settings.substituters = [ "http://127.0.0.1:${toString cachePort}" ];
      nix.settings.trusted-public-keys = optional (cfg.publicKey != null) cfg.publicKey;
    })

    (mkIf cfg.setNixRemote {
      environment.variables.NIX_REMOTE = "unix://${runtimeDir}/nix.sock";
    })
  ]);
}
