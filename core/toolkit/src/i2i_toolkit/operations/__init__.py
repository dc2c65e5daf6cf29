"""Operations that several papers have in common, built from what differs between them: inputs, outputs and graphs."""
