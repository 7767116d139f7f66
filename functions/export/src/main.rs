fn main() -> Result<(), lambda_runtime::Error> {
    shared::runtime::run(|app, event| Box::pin(export::handle(app, event)))
}
