"""Whether the cases can tell right from wrong: hard negatives and collateral damage, made from their own references."""
