"""The wire format: attributes, claim, pointer and envelope. Needs no AWS client."""
