//! Contacts.

use rowcast_domain::ContactId;
use rowcast_proto::rest::{Contact, ContactList, ContactTest, CreateContact, PatchContact};

use super::Api;

impl Api {
    pub(crate) async fn contacts(&self) -> anyhow::Result<ContactList> {
        self.get("/contacts").await
    }

    pub(crate) async fn create_contact(&self, body: &CreateContact) -> anyhow::Result<Contact> {
        self.post("/contacts", body).await
    }

    pub(crate) async fn contact(&self, id: &ContactId) -> anyhow::Result<Contact> {
        self.get(&format!("/contacts/{id}")).await
    }

    pub(crate) async fn patch_contact(
        &self,
        id: &ContactId,
        patch: &PatchContact,
    ) -> anyhow::Result<Contact> {
        self.patch(&format!("/contacts/{id}"), patch, None).await
    }

    pub(crate) async fn test_contact(&self, id: &ContactId) -> anyhow::Result<ContactTest> {
        self.command(&format!("/contacts/{id}/test")).await
    }

    pub(crate) async fn delete_contact(&self, id: &ContactId) -> anyhow::Result<()> {
        self.delete(&format!("/contacts/{id}")).await
    }
}
