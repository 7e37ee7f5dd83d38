# As much of an option system as the module needs to be evaluated in tests: options with types and defaults, definitions merged by
# priority, conditions pushed down to the options they concern, submodules, free forms, assertions.
let
  inherit (builtins)
    all
    attrNames
    concatMap
    elem
    filter
    foldl'
    hasAttr
    head
    isAttrs
    isBool
    isFunction
    isInt
    isList
    isString
    length
    listToAttrs
    map
    match
    tail
    ;

  mapAttrs = builtins.mapAttrs;
  last = list: builtins.elemAt list (length list - 1);
  unique = foldl' (seen: one: if elem one seen then seen else seen ++ [ one ]) [ ];
  concatStringsSep = builtins.concatStringsSep;
  hasPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;
  kind = value: if isAttrs value then value._type or "" else "";
  show = path: concatStringsSep "." path;

  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };

  recursiveUpdate =
    left: right:
    if isAttrs left && isAttrs right then
      left // mapAttrs (name: value: if hasAttr name left then recursiveUpdate left.${name} value else value) right
    else
      right;
  attrByPath =
    path: default: value:
    if path == [ ] then
      value
    else if isAttrs value && hasAttr (head path) value then
      attrByPath (tail path) default value.${head path}
    else
      default;
  setAttrByPath = path: value: if path == [ ] then value else { ${head path} = setAttrByPath (tail path) value; };

  # Definitions of one thing as plain values; conditions are looked at here, and no earlier.
  discharge =
    value:
    if kind value == "if" then
      if value.condition then discharge value.content else [ ]
    else if kind value == "merge" then
      concatMap discharge value.contents
    else
      [ value ];
  # Attribute sets with what was around them put around each of their members.
  pushDown =
    value:
    if kind value == "if" then
      map (mapAttrs (_: mkIf value.condition)) (pushDown value.content)
    else if kind value == "merge" then
      concatMap pushDown value.contents
    else if kind value == "override" then
      map (mapAttrs (_: mkOverride value.priority)) (pushDown value.content)
    else
      [ value ];
  # Only the definitions of the strongest priority count.
  strongest =
    values:
    let
      priorityOf = value: if kind value == "override" then value.priority else 100;
      best = foldl' (least: value: if priorityOf value < least then priorityOf value else least) 10000 values;
    in
    map (value: if kind value == "override" then value.content else value) (
      filter (value: priorityOf value == best) values
    );

  mergeDefinitions =
    path: type: definitions:
    let
      values = strongest (concatMap discharge definitions);
      wrong = filter (value: !(type.check value)) values;
    in
    if values == [ ] then
      throw "The option `${show path}' was accessed but has no value defined."
    else if wrong != [ ] then
      throw "A definition for option `${show path}' is not of type `${type.name}'."
    else
      type.merge path values;

  one =
    path: values:
    if all (value: value == head values) values then
      head values
    else
      throw "The option `${show path}' has conflicting definition values.";
  simple = name: check: {
    inherit name check;
    merge = one;
  };
  attrsMerge =
    member: path: values:
    listToAttrs (
      map (name: {
        inherit name;
        value = member (path ++ [ name ]) (map (value: value.${name}) (filter (hasAttr name) values));
      }) (unique (concatMap attrNames values))
    );

  types = rec {
    bool = simple "boolean" isBool;
    str = simple "string" isString;
    int = simple "signed integer" isInt;
    ints.unsigned = simple "unsigned integer, meaning >=0" (value: isInt value && value >= 0);
    ints.positive = simple "positive integer, meaning >0" (value: isInt value && value > 0);
    port = simple "16 bit unsigned integer; between 0 and 65535 (both inclusive)" (
      value: isInt value && value >= 0 && value <= 65535
    );
    path = simple "path" (value: builtins.isPath value || (isString value && hasPrefix "/" value));
    package = simple "package" (value: isAttrs value && (value.type or "") == "derivation");
    lines = simple "strings concatenated with \"\\n\"" isString // {
      merge = _: concatStringsSep "\n";
    };
    enum = values: simple "one of ${builtins.toJSON values}" (value: elem value values);
    strMatching =
      pattern: simple "string matching the pattern ${pattern}" (value: isString value && match pattern value != null);
    nullOr = type: {
      name = "null or ${type.name}";
      check = value: value == null || type.check value;
      merge = path: values: if all (value: value == null) values then null else type.merge path values;
    };
    either = left: right: {
      name = "${left.name} or ${right.name}";
      check = value: left.check value || right.check value;
      merge = path: values: (if all left.check values then left else right).merge path values;
    };
    listOf = type: {
      name = "list of ${type.name}";
      check = isList;
      merge =
        path: values:
        concatMap (map (value: mergeDefinitions (path ++ [ "*" ]) type [ value ])) values;
    };
    attrsOf = type: {
      name = "attribute set of ${type.name}";
      check = isAttrs;
      merge =
        path: values:
        let
          given = concatMap pushDown values;
          # What only conditions that do not hold define is not there.
          defined = name: concatMap (value: if hasAttr name value then discharge value.${name} else [ ]) given != [ ];
          kept = map (value: removeAttrs value (filter (name: !(defined name)) (attrNames value))) given;
        in
        attrsMerge (inner: mergeDefinitions inner type) path kept;
    };
    anything = {
      name = "anything";
      check = _: true;
      merge =
        path: values:
        if all (value: isAttrs value && (value.type or "") != "derivation") values then
          (attrsOf anything).merge path values
        else
          one path values;
    };
    submodule = module: {
      name = "submodule";
      check = value: isAttrs value || isFunction value;
      merge =
        path: values:
        (evaluate {
          inherit path;
          modules = [ module ] ++ map (value: if isFunction value then value else { config = value; }) values;
        }).config;
    };
  };

  isOption = value: kind value == "option";

  evaluate =
    {
      modules,
      pkgs ? { },
      path ? [ ],
    }:
    let
      args = { inherit lib pkgs config; };
      load = module: if isFunction module then module args else if isAttrs module then module else load (import module);
      normal =
        module:
        if module ? config || module ? options then
          module
        else
          { config = removeAttrs module [ "imports" ]; } // (if module ? imports then { inherit (module) imports; } else { });
      flatten = module: concatMap (one: flatten (load one)) (module.imports or [ ]) ++ [ (normal module) ];
      loaded = concatMap (module: flatten (load module)) modules;

      options = foldl' recursiveUpdate { } (map (module: module.options or { }) loaded);
      definitions = concatMap (module: pushDown (module.config or { })) loaded;
      freeforms = concatMap (module: if module ? freeformType then [ module.freeformType ] else [ ]) loaded;

      valuesOf =
        here: tree: given:
        let
          known = mapAttrs (
            name: option:
            let
              below = map (value: value.${name}) (filter (hasAttr name) given);
              inner = here ++ [ name ];
            in
            if isOption option then
              mergeDefinitions inner option.type (
                below ++ (if option ? default then [ (mkOverride 1500 option.default) ] else [ ])
              )
            else
              valuesOf inner option (concatMap pushDown below)
          ) tree;
          strange = filter (name: !(hasAttr name tree)) (concatMap attrNames given);
          free = (head freeforms).merge here (map (value: removeAttrs value (attrNames tree)) given);
        in
        if strange == [ ] then
          known
        else if freeforms != [ ] && here == path then
          free // known
        else
          throw "The option `${show (here ++ [ (head strange) ])}' does not exist.";

      config = valuesOf path options definitions;
    in
    {
      inherit config options;
    };

  lib = {
    inherit
      attrByPath
      concatMap
      concatStringsSep
      foldl'
      hasPrefix
      last
      length
      mapAttrs
      mkIf
      mkMerge
      mkOverride
      recursiveUpdate
      setAttrByPath
      types
      unique
      ;
    mkDefault = mkOverride 1000;
    mkForce = mkOverride 50;
    mkOption = option: { _type = "option"; } // option;
    mkEnableOption =
      what:
      lib.mkOption {
        type = types.bool;
        default = false;
        description = "Whether to enable ${what}.";
      };
    literalExpression = text: {
      _type = "literalExpression";
      inherit text;
    };
    optional = condition: value: if condition then [ value ] else [ ];
    optionalAttrs = condition: value: if condition then value else { };
    concatMapStringsSep = separator: each: list: concatStringsSep separator (map each list);
  };
in
{
  inherit lib evaluate;
}
