{
  description = "All the machines of a LAN build Nix derivations as one";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
      eachSystem =
        make:
        builtins.listToAttrs (
          map (name: {
            inherit name;
            value = make nixpkgs.legacyPackages.${name};
          }) systems
        );
    in
    {
      packages = eachSystem (pkgs: rec {
        mesh = pkgs.callPackage ./nix/package.nix { };
        default = mesh;
      });

      overlays.default = final: _previous: { mesh = final.callPackage ./nix/package.nix { }; };

      devShells = eachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.nodejs_24
            pkgs.nix
          ];
        };
      });

      nixosModules = rec {
        mesh =
          { lib, pkgs, ... }:
          {
            imports = [ ./nix/module.nix ];
            services.mesh.package = lib.mkDefault self.packages.${pkgs.stdenv.hostPlatform.system}.mesh;
          };
        default = mesh;
      };
    };
}
