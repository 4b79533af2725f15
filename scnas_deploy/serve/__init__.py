"""The server between a PACS and the models: studies come by DICOM or gRPC, results go back, nothing is lost."""
