"""fastsam: everything in a photo as scored boxes and masks, in one pass; prompts choose among them afterwards."""
