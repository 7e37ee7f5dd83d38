# [Service] of packaging/systemd/mesh.service, which says why; ExecStart and the environment are the module's.
{
  User = "mesh";
  Group = "mesh";
  StateDirectory = "mesh";
  StateDirectoryMode = "0700";
  RuntimeDirectory = "mesh";
  RuntimeDirectoryMode = "0755";
  UMask = "0077";
  Restart = "on-failure";
  RestartSec = "3";
  RestartPreventExitStatus = "2";
  KillMode = "mixed";
  TimeoutStopSec = "20";
  LimitNOFILE = "65536";
  AmbientCapabilities = "CAP_SETUID CAP_SETGID";
  CapabilityBoundingSet = "CAP_SETUID CAP_SETGID";
  NoNewPrivileges = "yes";
  ProtectSystem = "strict";
  ProtectHome = "read-only";
  PrivateTmp = "yes";
  PrivateDevices = "yes";
  ProtectClock = "yes";
  ProtectControlGroups = "yes";
  ProtectHostname = "yes";
  ProtectKernelLogs = "yes";
  ProtectKernelModules = "yes";
  ProtectKernelTunables = "yes";
  RestrictAddressFamilies = "AF_UNIX AF_INET AF_INET6 AF_NETLINK";
  RestrictNamespaces = "yes";
  RestrictRealtime = "yes";
  RestrictSUIDSGID = "yes";
  LockPersonality = "yes";
  RemoveIPC = "yes";
  SystemCallArchitectures = "native";
  SystemCallFilter = "@system-service";
  SystemCallErrorNumber = "EPERM";
}
