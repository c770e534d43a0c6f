"""Personal data: masked as it comes in, kept no longer than a project wants, erased where somebody asks for it."""
