# Builds for a machine of which nothing is known: they use what a shell has built in, since a sandbox may hold nothing else.
{
  salt ? "0",
}:
let
  step =
    name: deps: script:
    derivation {
      inherit name deps salt;
      system = builtins.currentSystem;
      builder = "/bin/sh";
      args = [
        "-c"
        script
      ];
    };
  count = i: step "count-${toString i}" [ ] ''
    i=0
    while [ $i -lt 300000 ]; do i=$((i + 1)); done
    echo $i > $out
  '';
in
step "sum" (builtins.genList count 6) ''
  sum=0
  for d in $deps; do read -r n < $d; sum=$((sum + n)); done
  echo $sum > $out
''
