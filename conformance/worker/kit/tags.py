"""Tags of the kit's own cases, which its worker reads."""

PROBE = "kit-probe"
FOR_PORTABLE = "kit-portable"
